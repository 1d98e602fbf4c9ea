"""The geometric mean of the losses."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.assertions import require
from blendloss._internal.serialization import register
from blendloss.gates._base.values import checked_preference, one_each
from blendloss.gates._from_values._scalarization import Scalarization


@register
class GeometricMean(Scalarization):
    """The geometric mean of the losses (GLS), whose gradient rescaling one loss rescales as a whole.

        F(l) = prod_k l_k^a_k,    g_k = a_k F / l_k,    a_k = 1 / K

    The weights are constants of the step; the cost F - g . l makes the blend's value F in every mode, and under
    `Soft()` its gradient is F's. Where a loss is 0, F is 0, the least it can be, and has no other finite subgradient
    than 0: there the weights are 0, and training rests until the loss is positive again.

    Args:
        exponents: a, `[K]`, non-negative, not all 0; None is 1/K for each. Chennupati et al. focus on m of the losses
            by a_k = 1/K + 1/m for those.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log g, `[K]`, and the total sum_k g_k. Negative losses are caught in the graph; XLA,
        which cannot raise, turns the weights into NaN.

    Raises:
        TypeError: if `exponents` has the wrong type.
        ValueError: if `exponents` is out of its range, or has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.GeometricMean())
        >>> output = blend.compute_from_values({"a": 1.0, "b": 4.0})
        >>> [round(float(g), 4) for g in output.weights], round(float(output.value), 4)
        ([1.0, 0.25], 2.0)

    References:
        Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
        Learning", CVPR Workshops 2019, arXiv:1904.08492.

    Deviations:
        Where a loss is 0, autodiff of the product (LibMTL 1.1) or of the logarithms' mean (TorchJD 0.18) gives NaN.
        LibMTL reports l_k / (K prod l) as weights; those in use are a_k F / l_k there, too.
    """

    def __init__(self, exponents: Any = None, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.given = checked_preference("exponents", exponents)
        # Set once the losses are known.
        self.exponents: list[float] = []

    def create_state(self, k: int) -> None:
        self.exponents = one_each("exponents", self.given, k, 1 / k)

    def scalarized(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = require(~tf.reduce_any(values < 0), "Losses to take the geometric mean of must be >= 0.", values)
        exponents = tf.constant(self.exponents, values.dtype)
        used = exponents > 0
        zeros = tf.zeros_like(values)
        logs = tf.where(used, tf.math.log(values), zeros)  # 0^0 = 1; a subnormal may count as 0 and have -inf
        vanished = tf.reduce_any(logs == -float("inf"))
        log_mean = tf.reduce_sum(exponents * logs)
        weights = tf.where(used, exponents * tf.exp(log_mean - logs), zeros)
        return tf.exp(log_mean), tf.where(vanished, zeros, weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "exponents": self.given}
