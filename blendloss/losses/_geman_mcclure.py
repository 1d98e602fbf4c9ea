"""The Geman-McClure penalty."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import divide_by_unit, lorentzian, where
from blendloss.losses._penalty import ScaledPenalty


@register
class GemanMcClure(ScaledPenalty):
    """Geman-McClure: bounded; the slope falls to 0 as 1 / |r|^3.

        rho(r) = s^2 / 2 u^2 / (1 + u^2),    psi(r) = r / (1 + u^2)^2,    u = r / s,    r = y_pred - y_true

    Unit curvature at 0; rho < s^2 / 2; not convex. Gross outliers have almost no influence.

    Args:
        scale: s, positive, in units of the residual. With s = 3.7874 standard deviations (twice the 1.89371 of Barron's
            alpha = -2), the efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> float(bl.losses.GemanMcClure()([0.0], [1.0])[0])
        0.25

    References:
        Geman and McClure, Statistical methods for tomographic image reconstruction,
        Bull. Int. Statist. Inst. 52 (1987).

    Deviations:
        Geman and McClure write u^2 / (1 + u^2); the factor here makes the curvature at 0 equal to 1.
    """

    tuned_argument = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        far, r, s = divide_by_unit(residual, self.scale, order=2)
        quotient = lorentzian(residual, self.scale, far, r, s)
        near = 0.5 * residual * (residual * quotient)
        most = 0.5 * self.scale * self.scale
        value = where(far, most if most < float(r.dtype.max) else math.inf, near)
        slope = where(far, tf.sign(residual) * (self.scale * quotient), residual) * quotient * quotient
        return value, slope
