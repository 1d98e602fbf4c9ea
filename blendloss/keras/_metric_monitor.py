"""The callback that shows a gate its metric."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss.gates import MetricGate


class MetricMonitor(keras.callbacks.Callback):
    """Lets a gate observe its metric after every epoch; for plain `compile(loss=blend)`.

    `BlendedModel.fit` adds one by itself. Epochs without validation (`validation_freq`) are not observed.

    Args:
        gate: the gate, such as `Plateau` or `Threshold`.

    Returns:
        A Keras callback.

    Raises:
        TypeError: if `gate` watches no metric.
        ValueError: in `fit`, if the metric is not among the logs, or never was.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Plateau("val_mae", patience=1)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> monitor = bl.keras.MetricMonitor(gate)
        >>> monitor.on_train_begin()
        >>> for epoch, val_mae in enumerate([2.0, 2.5]):
        ...     monitor.on_epoch_end(epoch, {"val_mae": val_mae})
        >>> int(gate.stage)
        1
    """

    def __init__(self, gate: MetricGate) -> None:
        super().__init__()
        if not isinstance(gate, MetricGate):
            raise TypeError(f"`gate` must watch a metric, as Plateau and Threshold do. Received: gate={gate!r}")
        self.gate = gate
        gate.metric_observed = True

    def on_train_begin(self, logs: Any = None) -> None:
        """Counts from 0: nothing was seen in this training."""
        self._epochs = self._observed = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Observes the metric, if this epoch has it."""
        logs = logs or {}
        self._epochs += 1
        monitor = self.gate.monitor
        if monitor in logs:
            self.gate.observe(logs[monitor])
            self._observed += 1
        elif not monitor.startswith("val_") or any(name.startswith("val_") for name in logs):
            raise ValueError(
                f"The gate {self.gate.name!r} watches {monitor!r}, which is not among the logs. "
                f"Received: {sorted(logs)}"
            )

    def on_train_end(self, logs: Any = None) -> None:
        """Raises if the gate has seen nothing: it would have stayed as it was without a word."""
        if self._epochs and not self._observed:
            raise ValueError(
                f"The gate {self.gate.name!r} watches {self.gate.monitor!r} and never saw it. Pass `validation_data=` "
                "to `fit`, and a `validation_freq` that validates at least once. Received: no such metric in any epoch"
            )


def monitored(callbacks: Any, gate: MetricGate) -> Any:
    """`callbacks` with a monitor for `gate`, unless there is one."""
    made = isinstance(callbacks, keras.callbacks.CallbackList)
    held = callbacks.callbacks if made else tf.nest.flatten([] if callbacks is None else callbacks)
    if not any(isinstance(callback, MetricMonitor) and callback.gate is gate for callback in held):
        held.insert(0, MetricMonitor(gate))  # first, so that a callback that saves the model saves the gate's new state
    return callbacks if made else held
