"""The callback that says when a trained gate has collapsed."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.output import BlendOutput
from blendloss._internal import checks
from blendloss.keras._blended_model import BlendedModel


class CollapseMonitor(keras.callbacks.Callback):
    """Warns, once in a training, when the trained gate of a `BlendedModel` has moved its weight to one loss.

    After each epoch it reads weights and losses from Keras's logs and asks `Blend.diagnose`; the warning is its
    sentence: which loss, how much of the weight, why, and what to use instead. Gates that do not train, or whose
    weights are evidence (likelihood, held-out data), never warn.

    Args:
        threshold: the share, in (0.5, 1), from which on one loss has all.

    Returns:
        A Keras callback, with the last `diagnosis`.

    Raises:
        TypeError: if `threshold` is no number, or the model no `BlendedModel`.
        ValueError: if `threshold` is out of its range.

    Example:
        >>> import warnings, numpy as np, keras, blendloss as bl
        >>> gate = bl.gates.Learned([6.0, 0.0], name="gate")
        >>> blend = bl.Blend({"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}, gate)
        >>> model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
        >>> model.compile("sgd")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     monitor = bl.keras.CollapseMonitor()
        ...     _ = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=3, verbose=0, callbacks=[monitor])
        >>> [str(warning.message)[:49] for warning in caught]
        ["Epoch 1: The gate 'gate' (Learned) has collapsed:"]
    """

    def __init__(self, threshold: float = 0.99) -> None:
        super().__init__()
        self.threshold = checks.between("threshold", threshold, 0.5, 1)
        self.diagnosis: Any = None
        self._warned = False

    def set_model(self, model: keras.Model) -> None:
        """Takes the model, which must be a `BlendedModel`."""
        if not isinstance(model, BlendedModel):
            raise TypeError(f"CollapseMonitor needs a BlendedModel. Received: {type(model).__name__}")
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Nothing has been said in this training."""
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Warns if the gate has collapsed, and nothing was said yet."""
        logs = logs or {}
        if "loss" not in logs:  # an epoch without a batch, of which Keras warns
            return
        model: BlendedModel = self.model
        names = model.blend.names
        output = BlendOutput(
            value=logs["loss"],
            losses=tf.constant([float(logs[f"loss/{name}"]) for name in names]),
            weights=tf.constant([float(logs[f"gate/{name}"]) for name in names]),
            cost=logs.get("cost", 0.0),
        )
        self.diagnosis = model.blend.diagnose(
            output,
            step=int(tf.convert_to_tensor(model.step)),
            held_out=model.held_out is not None,
            threshold=self.threshold,
        )
        if self.diagnosis.collapsed and not self._warned:
            self._warned = True
            warnings.warn(f"Epoch {epoch + 1}: {self.diagnosis}", UserWarning, stacklevel=2)
