"""Weights from a schedule: the epoch switch and its soft forms."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.assertions import require
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating, gating_from_weights
from blendloss.gates._base.needs import Needs
from blendloss.schedules import as_schedule


@register
class Scheduled(Gate):
    """Weights that follow a schedule of the step: what `if epoch < N` becomes.

    A scalar schedule is a position s in [0, K - 1] along the losses: w_k = max(0, 1 - |s - k|), so that 0 is the first
    loss alone, 1 the second, and 0.25 gives them 0.75 and 0.25. A K-vector schedule gives the weights w themselves,
    which need not sum to 1. Under `Soft()`, g = w.

    Args:
        schedule: step -> scalar or `[K]`: a schedule, a Keras learning-rate schedule, or a callable. A position
            outside [0, K - 1], a negative or non-finite weight, or weights that are all 0 are caught in the graph;
            XLA, which cannot raise, turns them into NaN.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log w and its total.

    Raises:
        TypeError: if `schedule` is not one.
        ValueError: if its values have neither shape `[]` nor `[K]`.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Scheduled(bl.schedules.linear(0.0, 1.0, steps=100))
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> [[round(float(g), 3) for g in blend.compute([[0.0]], [[2.0]], step=step).weights] for step in (0, 25, 100)]
        [[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]
    """

    needs = Needs.STEP

    def __init__(self, schedule: Any, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.schedule = as_schedule("schedule", schedule)

    def create_state(self, k: int) -> None:
        shape = self.schedule(0).shape
        if shape != () and shape != (k,):
            raise ValueError(
                f"`schedule` must give a scalar or one weight for each of the {k} losses. "
                f"Received: values of shape {shape}"
            )

    def gating(self, context: Context) -> Gating:
        value = self.schedule.at(context.step, self.compute_dtype)
        if value.shape.rank == 0:
            value = self._at_position(value)
        else:
            valid = tf.reduce_all((value >= 0) & tf.math.is_finite(value)) & tf.reduce_any(value > 0)
            value = require(valid, "Scheduled weights must be finite, not negative and not all 0.", value)
        return gating_from_weights(value)

    def _at_position(self, position: tf.Tensor) -> tf.Tensor:
        k = len(self.names)
        valid = (position >= 0) & (position <= k - 1)
        position = require(valid, f"A scheduled position must lie in [0, {k - 1}].", position)
        return tf.maximum(1 - tf.abs(position - tf.cast(tf.range(k), position.dtype)), 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "schedule": serialize(self.schedule)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return super().from_config({**config, "schedule": deserialize(config["schedule"])})
