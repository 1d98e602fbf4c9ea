"""The pseudo-Huber penalty."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import divide_by_unit, fusion_barrier, where
from blendloss.losses._penalty import Penalty, attach_slope


@register
class PseudoHuber(Penalty):
    """Pseudo-Huber (Charbonnier, L1-L2): a smooth form of Huber, quadratic near 0 and linear far out.

        rho(r) = delta^2 (sqrt(1 + u^2) - 1),    psi(r) = r / sqrt(1 + u^2),
        u = r / delta,    r = y_pred - y_true

    Unit curvature at 0; slope bounded by delta. It is Barron's penalty with alpha = 1, times delta^2.

    Args:
        delta: the threshold, positive, in units of the residual. With delta = 1.2871 standard deviations, the
            efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `delta` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.PseudoHuber(delta=2.0)([0.0], [2.0])[0]), 6)
        1.656854

    References:
        Charbonnier, Blanc-Feraud, Aubert and Barlaud, Deterministic edge-preserving regularization in computed imaging,
        IEEE Trans. Image Process. 6 (1997), table I.

    Deviations:
        Charbonnier et al. write 2 sqrt(1 + u^2) - 2; the factor here makes the curvature at 0 equal to 1.
    """

    tuned_argument = "delta"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.positive("delta", delta)

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta}

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        far, r, delta = divide_by_unit(residual, self.delta, order=2)
        root = fusion_barrier(tf.sqrt(delta * delta + r * r), 2.0**64)
        # sqrt(1 + u^2) - 1 = u^2 / (1 + sqrt(1 + u^2)) does not cancel.
        near = residual * (residual * (delta / (delta + root)))
        value = where(far, self.delta * (magnitude - self.delta), near)
        # 1 / sqrt(1 + u^2), or 1 / |u| far out. Its cube is psi', which autodiff would compute as a difference.
        quotient = where(far, tf.constant(self.delta, r.dtype), delta) / where(far, magnitude, root)
        slope = where(far, tf.sign(residual) * self.delta, residual * quotient)
        return value, attach_slope(residual, slope, quotient * quotient * quotient)
