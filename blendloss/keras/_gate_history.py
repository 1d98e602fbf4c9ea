"""The callback that keeps every weight, and draws them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import checks
from blendloss.keras._blended_model import BlendedModel


class GateHistory(keras.callbacks.Callback):
    """Keeps the gating vector of the training steps of a `BlendedModel`, and plots its way.

    Logs stay on the device until the epoch ends, so that keeping them does not stop the training.

    Args:
        every: keep one step in so many, at least 1; with `steps_per_execution`, the last step of one execution in so
            many.

    Returns:
        A Keras callback with `steps`, a list of ints, and `weights`, a list of floats for each loss.

    Raises:
        TypeError: if `every` is no integer, or the model no `BlendedModel`.
        ValueError: if `every` is below 1.

    Example:
        >>> import numpy as np, keras, blendloss as bl
        >>> gate = bl.gates.Scheduled(bl.schedules.switch_at(2))
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
        >>> model.compile("sgd")
        >>> kept = bl.keras.GateHistory()
        >>> _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=2, verbose=0, callbacks=[kept])
        >>> kept.steps, kept.weights["mae"]
        ([0, 1, 2, 3], [0.0, 0.0, 1.0, 1.0])
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self.every = checks.integer("every", every, minimum=1)
        self.steps: list[int] = []
        self.weights: dict[str, list[float]] = {}
        self._executions = 0
        self._waiting: list[tuple[tf.Tensor, list[Any]]] = []

    def set_model(self, model: keras.Model) -> None:
        """Takes the model, which must be a `BlendedModel`."""
        if not isinstance(model, BlendedModel):
            raise TypeError(f"GateHistory needs a BlendedModel. Received: {type(model).__name__}")
        super().set_model(model)
        self.weights = self.weights or {name: [] for name in model.blend.names}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keeps the weights of this step."""
        if self._executions % self.every == 0:
            model: BlendedModel = self.model
            step = tf.identity(model.logged_at)
            self._waiting.append((step, [logs[f"gate/{name}"] for name in self.weights]))
        self._executions += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Fetches what the epoch has kept."""
        for step, weights in self._waiting:
            self.steps.append(int(step))
            for name, weight in zip(self.weights, weights, strict=True):
                self.weights[name].append(float(weight))
        self._waiting.clear()

    def plot(self, path: Any = None) -> Any:
        """Draws the weights over the steps.

        Args:
            path: where to save the picture; None saves none.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes = figure.subplots()
        for name, weights in self.weights.items():
            axes.plot(self.steps, weights, label=name)
        axes.set(xlabel="training step", ylabel="weight", title="Gating vector")
        axes.legend()
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure
