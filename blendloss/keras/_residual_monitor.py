"""The callback that shows a gate residuals of held-out data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from blendloss._internal import checks, conversion
from blendloss.gates import ScoreMatching


class ResidualMonitor(keras.callbacks.Callback):
    """Shows a gate the residuals of held-out examples after every epoch: those that it trains on may be overfitted.

    For `ScoreMatching(held_out=True)`. The model has one output. It also looks before the first epoch.

    Args:
        gate: the gate.
        x: inputs that the model does not train on, as `model.predict` takes them.
        y: their targets, of the predictions' shape.
        sample_weight: of the targets' shape; None weighs all alike.
        batch_size: of the predictions.

    Returns:
        A Keras callback.

    Raises:
        TypeError: if the gate observes no residuals.
        ValueError: in `fit`, if targets and predictions differ in shape.

    Example:
        >>> import keras, numpy as np, blendloss as bl
        >>> x, y = np.ones([8, 1]), np.arange(8.0).reshape(8, 1)
        >>> gate = bl.gates.ScoreMatching(held_out=True)
        >>> blend = bl.Blend(bl.losses.m_estimators(), gate)
        >>> model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
        >>> model.compile("sgd")
        >>> monitor = bl.keras.ResidualMonitor(gate, x[6:], y[6:])
        >>> history = model.fit(x[:6], y[:6], epochs=3, verbose=0, callbacks=[monitor])
        >>> float(gate.sums.weight) > 0
        True
    """

    def __init__(
        self, gate: ScoreMatching, x: Any, y: Any, sample_weight: Any = None, *, batch_size: int | None = None
    ) -> None:
        super().__init__()
        if not isinstance(gate, ScoreMatching):
            raise TypeError(f"`gate` must observe residuals, as ScoreMatching does. Received: gate={gate!r}")
        self.gate, self.x, self.sample_weight = gate, x, sample_weight
        self.y = np.asarray(conversion.real("y", y))
        self.batch_size = None if batch_size is None else checks.integer("batch_size", batch_size, minimum=1)
        gate.shown = True

    def on_train_begin(self, logs: Any = None) -> None:
        """Looks before the first update."""
        self._look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks after the epoch."""
        self._look()

    def _look(self) -> None:
        predicted = np.asarray(self.model.predict(self.x, batch_size=self.batch_size, verbose=0))
        if predicted.shape != self.y.shape:
            raise ValueError(
                "The targets of a ResidualMonitor must have the shape of the predictions. "
                f"Received: y of shape {self.y.shape}, predictions of shape {predicted.shape}"
            )
        self.gate.observe(predicted - self.y.astype(predicted.dtype), self.sample_weight)
