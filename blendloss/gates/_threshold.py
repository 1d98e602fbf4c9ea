"""Switching where a validation metric crosses thresholds."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.metric_gate import MetricGate


@register
class Threshold(MetricGate):
    """Chooses the loss by how many thresholds a metric has crossed, with hysteresis on the way back.

    With thresholds t_1, ..., t_{K-1} in the order in which the metric meets them, the stage asked for is the number
    of thresholds that the metric m has passed (m < t falling, m > t rising). Going back from a stage asks for the
    metric to return past its threshold by more than `hysteresis`. A switch happens after `patience` observations in a
    row that ask for one; then `cooldown` observations do not count. NaN asks for nothing.

    Args:
        monitor: the metric's name in Keras's logs, such as "val_mae".
        thresholds: `[K - 1]`: strictly decreasing for a falling metric, strictly increasing for a rising one.
        direction: "falling" or "rising": the way in which the metric is expected to move.
        hysteresis: the width, >= 0, of the band in which the stage stays.
        patience: observations in a row before a switch, at least 1.
        cooldown: observations after a switch that do not count, >= 0.
        returns: whether earlier losses may be chosen again.
        name: the layer's name.
        dtype: of the logits and the state.

    Returns:
        `gating(context)` gives 0 for the chosen loss and -inf for the others.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or there are not K - 1 thresholds.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Threshold("val_mae", [1.0], hysteresis=0.5)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> stages = []
        >>> for val_mae in (2.0, 0.9, 1.4, 1.6):
        ...     gate.observe(val_mae)
        ...     stages.append(int(gate.stage))
        >>> stages
        [0, 1, 1, 0]

    References:
        The band is that of a Schmitt trigger.
    """

    def __init__(
        self,
        monitor: str,
        thresholds: Any,
        *,
        direction: str = "falling",
        hysteresis: float = 0.0,
        patience: int = 1,
        cooldown: int = 0,
        returns: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(monitor, patience=patience, cooldown=cooldown, name=name, dtype=dtype)
        self.direction = checks.one_of("direction", direction, ("falling", "rising"))
        self.thresholds = checks.ordered("thresholds", thresholds, self.direction, dtype=self.compute_dtype)
        self.hysteresis = checks.non_negative("hysteresis", hysteresis, dtype=self.compute_dtype)
        self.returns = checks.boolean("returns", returns)

    def _sign(self) -> float:
        return 1.0 if self.direction == "rising" else -1.0

    def create_state(self, k: int) -> None:
        if len(self.thresholds) != k - 1:
            raise ValueError(f"`thresholds` must have {k - 1} numbers for {k} losses. Received: {self.thresholds}")
        super().create_state(k)

    def observe(self, metric: Any) -> None:
        metric = self._sign() * self.scalar(metric)
        thresholds = self._sign() * tf.constant(self.thresholds, metric.dtype, shape=(len(self.names) - 1,))
        passed = tf.reduce_sum(tf.cast(metric > thresholds, tf.int32))
        held = tf.reduce_sum(tf.cast(metric >= thresholds - self.hysteresis, tf.int32))
        stage = tf.convert_to_tensor(self.stage)
        back = tf.minimum(stage, held) if self.returns else stage
        target = tf.where(tf.math.is_nan(metric), stage, tf.maximum(passed, back))
        self.move(target != stage, target)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.thresholds,
            "direction": self.direction,
            "hysteresis": self.hysteresis,
            "returns": self.returns,
        }
