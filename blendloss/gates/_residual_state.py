"""A gate driven by a running statistic of the residuals."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.replicas import rows_of_all_replicas
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import one_hot_logits
from blendloss.gates._base.needs import Needs
from blendloss.gates.statistics import Statistic


@register
class ResidualState(Gate):
    """Logits driven, inside the training step, by a running statistic of the residuals.

    Each training step updates m <- m + a (s - m), s the batch's statistic, a = 1/memory, without bias from the start
    (m is the weighted mean of all s seen so far). With the reading x of the running means and thresholds
    t_1 < ... < t_{K-1}: z_k = sum_{j <= k} (x - t_j) / width for a rising direction, (t_j - x) / width with
    t_1 > ... > t_{K-1} for a falling one. Neighbouring losses have equal logits where x is at their threshold;
    `width` is the change of x that moves the odds between them by e. While there is no reading, the first loss is
    chosen.

    Args:
        statistic: one of `blendloss.gates.statistics`, or one's own.
        thresholds: `[K - 1]`, strictly increasing (rising) or decreasing (falling), in units of the statistic.
        width: > 0, in units of the statistic; small is a sharp switch under `Soft()`.
        direction: "rising" or "falling": the change of x that moves on to later losses.
        memory: how many steps the running mean remembers, at least 1.
        name: the layer's name.
        dtype: of the logits and the state.

    Returns:
        `gating(context)` gives z, `[K]`. A batch whose statistic is not finite leaves the state as it is and is
        counted in the variable `skipped`. Replicas see the residuals of all.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or there are not K - 1 thresholds.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0], width=0.5)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> [round(float(g), 3) for g in blend.compute([[0.0]], [[2.0]], step=0).weights]  # odds e^((2 - 1) / 0.5)
        [0.119, 0.881]

    References:
        The logits are those of Masters, "A Rasch model for partial credit scoring", Psychometrika 47 (1982).
    """

    needs = Needs.RESIDUAL
    stateful = True

    def __init__(
        self,
        statistic: Statistic,
        thresholds: Any,
        *,
        width: float,
        direction: str = "rising",
        memory: float = 100.0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not isinstance(statistic, Statistic):
            raise TypeError(f"`statistic` must be a Statistic, such as MeanAbsolute(). Received: {statistic!r}")
        self.statistic = statistic
        self.direction = checks.one_of("direction", direction, ("rising", "falling"))
        self.thresholds = checks.ordered("thresholds", thresholds, self.direction, dtype=self.compute_dtype)
        self.width = checks.positive("width", width, dtype=self.compute_dtype)
        self.memory = checks.finite("memory", memory, minimum=1, dtype=self.compute_dtype)
        self.rates = [1 / memory for memory in self.statistic.running_mean_memories(self.memory)]
        # Set once the losses are known.
        self.means: Any = None
        self.weight: Any = None
        self.skipped: Any = None

    def create_state(self, k: int) -> None:
        if len(self.thresholds) != k - 1:
            raise ValueError(f"`thresholds` must have {k - 1} numbers for {k} losses. Received: {self.thresholds}")
        self.means = self.add_state("means", (len(self.rates),))
        self.weight = self.add_state("weight", (len(self.rates),))
        self.skipped = self.add_state("skipped", dtype="int64")

    def gating(self, context: Context) -> tf.Tensor:
        self._require_blend()
        if context.training:
            self._update(context)
        filled = tf.convert_to_tensor(self.weight)
        value = self.statistic.from_means(tf.convert_to_tensor(self.means), filled)
        sign = 1.0 if self.direction == "rising" else -1.0
        passed = sign * (value - tf.constant(self.thresholds, value.dtype)) / self.width
        logits = tf.concat([tf.zeros([1], value.dtype), tf.cumsum(passed)], 0)
        seen = (filled[0] > 0) & ~tf.math.is_nan(value)
        return tf.where(seen, logits, one_hot_logits(tf.constant(0), len(self.names), self.compute_dtype))

    def _update(self, context: Context) -> None:
        residual = rows_of_all_replicas(tf.cast(context.residual, self.compute_dtype))
        counted = tf.ones_like(residual, tf.bool)
        if context.counted is not None:
            counted = rows_of_all_replicas(context.counted)
        value = self.statistic.compute(residual, counted)
        valid = tf.math.is_finite(value) & tf.reduce_all(tf.math.is_finite(residual) | ~counted)
        rate = tf.constant(self.rates, self.compute_dtype)
        means, old_weight = tf.convert_to_tensor(self.means), tf.convert_to_tensor(self.weight)
        weight = old_weight + rate * (1 - old_weight)
        self.means.assign(tf.where(valid, means + rate / weight * (value - means), means))
        self.weight.assign(tf.where(valid, weight, old_weight))
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(~valid, tf.int64))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "statistic": serialize(self.statistic),
            "thresholds": self.thresholds,
            "width": self.width,
            "direction": self.direction,
            "memory": self.memory,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return super().from_config({**config, "statistic": deserialize(config["statistic"])})
