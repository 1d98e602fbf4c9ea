"""Penalty-based boundary intersection."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.values import checked_entries, checked_preference, one_each
from blendloss.gates._from_values._scalarization import Scalarization


@register
class PBI(Scalarization):
    """Penalty-based boundary intersection: the distance along a direction, and a penalty for leaving it.

        F(l) = d_1 + theta d_2,    d_1 = (l - z) . u,    d_2 = |(l - z) - d_1 u|,    u = w / |w|
        g = u + theta ((l - z) - d_1 u) / d_2

    Weights are negative where a loss is so far ahead of the direction that the penalty would raise it. They are
    constants of the step; the cost F - g . l makes the blend's value F in every mode, and under `Soft()` its gradient
    is F's. On the direction itself (up to rounding) d_2 has no derivative, and its subgradient 0 is taken: g = u.

    Args:
        preference: w, `[K]`, the direction, non-negative, not all 0.
        penalty: theta >= 0; 0 leaves the projection alone.
        ideal: z, `[K]`, a lower bound of the losses; None is 0.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log |g|, `[K]`, and the total sign(g) sum_k |g_k|, `[K]`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.PBI([1.0, 1.0], penalty=1.0))
        >>> output = blend.compute_from_values({"a": 2.0, "b": 0.0})
        >>> [round(float(g), 3) for g in output.weights], round(float(output.value), 3)  # 2 sqrt(2)
        ([1.414, 0.0], 2.828)

    References:
        Zhang and Li, "MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition", IEEE Trans. Evol.
        Comput. 11 (2007), section II.C, for minimization; their experiments take theta = 5.

    Deviations:
        TorchJD 0.18 adds 1e-12 under the root of d_2: up to 1e-6 theta in the value, and the gradient shrinks where
        d_2 is not far above 1e-6. The paper's z is below all losses; here d_1 keeps its sign where it is not.
    """

    def __init__(
        self,
        preference: Any,
        penalty: float = 5.0,
        ideal: Any = None,
        *,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.preference = needed_preference(preference)
        self.penalty = checks.non_negative("penalty", penalty, dtype=self.compute_dtype)
        self.ideal = checked_entries("ideal", ideal, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.direction: list[float] = []
        self.origin: list[float] = []

    def create_state(self, k: int) -> None:
        given = np.asarray(one_each("preference", self.preference, k, 1.0))
        given = given / given.max()
        self.direction = (given / np.linalg.norm(given)).tolist()
        self.origin = one_each("ideal", self.ideal, k, 0.0)

    def scalarized(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        direction = tf.constant(self.direction, values.dtype)
        shifted = values - tf.constant(self.origin, values.dtype)
        size = tf.reduce_max(tf.abs(shifted))  # squares of large losses overflow
        unit = shifted / tf.where(size > 0, size, tf.ones_like(size))
        along = tf.reduce_sum(unit * direction)
        across = unit - along * direction
        distance = tf.norm(across)
        # What is left on the direction itself: K products, their sum, a product and a difference, each rounded.
        rounding = (len(self.direction) + 3) * np.finfo(values.dtype.as_numpy_dtype).eps
        beside = ~(distance <= rounding)
        slope = tf.where(beside, across / tf.where(beside, distance, tf.ones_like(distance)), tf.zeros_like(across))
        penalty = tf.constant(self.penalty, values.dtype)
        return size * (along + penalty * distance), direction + penalty * slope

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preference": self.preference, "penalty": self.penalty, "ideal": self.ideal}


def needed_preference(preference: Any) -> list[float]:
    """`preference`, which must be given."""
    checked = checked_preference("preference", preference)
    if checked is None:
        raise TypeError("`preference` must be a list of numbers. Received: preference=None")
    return checked
