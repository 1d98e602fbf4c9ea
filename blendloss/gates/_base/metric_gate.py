"""What the gates that watch a metric share."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import one_hot_logits


class MetricGate(Gate):
    """A gate that chooses one loss by observing a metric from outside the training step.

    `BlendedModel.fit` observes once an epoch by itself; elsewhere call `observe(value)`, or give `fit` the callback
    `blendloss.keras.MetricMonitor`. The state (stage, waiting, cooldown) is tracked and resumes exactly.

    Args:
        monitor: the metric's name in Keras's logs, such as "val_mae".
        patience: observations in a row that must ask for a switch, at least 1.
        cooldown: observations after a switch that do not count, >= 0.
        name: the layer's name.
        dtype: of the logits and the state.

    Returns:
        `gating(context)` gives 0 for the chosen loss and -inf for the others.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import blendloss as bl
        >>> isinstance(bl.gates.Plateau("val_mae"), bl.gates.MetricGate)
        True
    """

    def __init__(
        self, monitor: str, *, patience: int, cooldown: int, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not isinstance(monitor, str):
            raise TypeError(f"`monitor` must be a metric's name, such as 'val_mae'. Received: monitor={monitor!r}")
        if not monitor:
            raise ValueError(f"`monitor` must not be empty. Received: monitor={monitor!r}")
        self.monitor = monitor
        self.metric_observed = False  # until an observation is counted, or a callback that will make one
        self.patience = checks.integer("patience", patience, minimum=1)
        self.cooldown = checks.integer("cooldown", cooldown, minimum=0)
        # Set once the losses are known.
        self.stage: Any = None
        self.waited: Any = None
        self.cooling: Any = None

    def create_state(self, k: int) -> None:
        self.stage = self.add_state("stage", dtype="int32")
        self.waited = self.add_state("waited", dtype="int32")
        self.cooling = self.add_state("cooling", dtype="int32")

    @abc.abstractmethod
    def observe(self, metric: Any) -> None:
        """Takes one observation of the metric, a scalar; in graphs too."""

    def scalar(self, metric: Any) -> tf.Tensor:
        """`metric` as a scalar of the gate's dtype."""
        if isinstance(metric, int) and not isinstance(metric, bool):
            metric = checks.real("metric", metric)
        if isinstance(metric, float):
            observed = tf.constant(metric, self.compute_dtype)  # a cast would round it to float32 first
        else:
            observed = tf.cast(conversion.real("metric", metric), self.compute_dtype)
        if observed.shape.rank not in (None, 0):
            raise ValueError(f"`metric` must be a scalar. Received: shape {observed.shape}")
        return observed

    def move(self, wanted: tf.Tensor, target: tf.Tensor) -> None:
        """Counts an observation that wants stage `target` if `wanted`; switches once patience has run out."""
        self._require_blend()
        self.metric_observed = True
        cooling = tf.convert_to_tensor(self.cooling)
        waited = tf.where(wanted & (cooling == 0), tf.convert_to_tensor(self.waited) + 1, 0)
        switch = waited >= self.patience
        self.stage.assign(tf.where(switch, target, tf.convert_to_tensor(self.stage)))
        self.waited.assign(tf.where(switch, 0, waited))
        self.cooling.assign(tf.where(switch, self.cooldown, tf.maximum(cooling - 1, 0)))

    def gating(self, context: Context) -> tf.Tensor:
        self._require_blend()
        return one_hot_logits(tf.convert_to_tensor(self.stage), len(self.names), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "monitor": self.monitor,
            "patience": self.patience,
            "cooldown": self.cooldown,
        }
