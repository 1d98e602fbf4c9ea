"""Tukey's biweight."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import polynomial, where
from blendloss.losses._penalty import ScaledPenalty


@register
class Tukey(ScaledPenalty):
    """Tukey's biweight (bisquare): bounded; the slope is exactly 0 beyond the scale.

        rho(r) = c^2 / 6 (1 - max(1 - u^2, 0)^3),    psi(r) = r max(1 - u^2, 0)^2,    u = r / c,    r = y_pred - y_true

    Unit curvature at 0; rho <= c^2 / 6; not convex; twice continuously differentiable.

    Args:
        scale: c, the rejection point, positive, in units of the residual. With c = 4.6851 standard deviations, the
            efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.Tukey(scale=2.0)([0.0], [5.0])[0]), 6)
        0.666667

    References:
        Beaton and Tukey, The fitting of power series, meaning polynomials, illustrated on band-spectroscopic data,
        Technometrics 16 (1974).

    Deviations:
        `scale` is c itself. Some authors write c as a multiple of a separate scale.
    """

    tuned_argument = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        outside = magnitude >= self.scale
        a = where(outside, 0.0, magnitude) / self.scale
        t = a * a
        # 1 - u^2 as a product: c - |r| is exact near the kink, where 1 - u^2 would be mostly rounding error.
        g = where(t < 0.25, 1.0 - t, (self.scale - magnitude) / self.scale * (1.0 + a))
        g = where(outside, 0.0, g)
        near = residual * (residual * polynomial([1 / 2, -1 / 2, 1 / 6], t))
        outer = self.scale * (self.scale / 6.0 * (1.0 - g * g * g))
        return where(g > 0.5, near, outer), where(outside, 0.0, residual) * g * g
