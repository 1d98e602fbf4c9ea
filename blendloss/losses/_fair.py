"""The Fair penalty."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import divide_by_unit, fusion_barrier, polynomial, where
from blendloss.losses._penalty import ScaledPenalty, attach_slope

# The number of terms of the series in z^2 <= 1/9 until one is below a tenth of an ulp of the value.
_TERMS = {tf.float32: 7, tf.float64: 15}


@register
class Fair(ScaledPenalty):
    """Fair: convex, with the bounded slope r / (1 + |u|).

        rho(r) = s^2 (|u| - log(1 + |u|)),    psi(r) = r / (1 + |u|),    u = r / s,    r = y_pred - y_true

    Unit curvature at 0; slope bounded by s. The third derivative jumps at 0.

    Args:
        scale: s, positive, in units of the residual. With s = 1.3998 standard deviations, the efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.Fair()([0.0], [1.0])[0]), 6)
        0.306853

    References:
        Fair, On the robust estimation of econometric models, Ann. Econ. Soc. Meas. 3 (1974), equation (9);
        Holland and Welsch, Commun. Statist. A6 (1977), table 1.
    """

    tuned_argument = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        far, r, s = divide_by_unit(residual, self.scale, order=1)
        a = tf.abs(r)
        # a - log1p(a) cancels near 0. With z = a / (2 + a), log1p(a) = 2 artanh(z) = 2 z + 2 z^3 / 3 + 2 z^5 / 5 + ...,
        # and a - 2 z = a z, so that (a - log1p(a)) / a^2 = y - 2 z y^2 (1/3 + z^2 / 5 + ...) with y = 1 / (2 + a).
        y = fusion_barrier(1.0 / (2.0 * s + a))
        z, y = a * y, s * y
        terms = _TERMS[residual.dtype]
        series = polynomial([1.0 / (2 * n + 3) for n in range(terms)], z * z)
        near = residual * (residual * (y - 2.0 * z * y * y * series))
        # Beyond a = 1, log1p(a) = log 2 + log1p((a - 1) / 2) has terms that hardly cancel.
        beyond = magnitude > self.scale
        excess = where(beyond, magnitude - self.scale, 0.0)
        log = tf.math.log1p(tf.minimum(0.5 * excess / self.scale, excess.dtype.max))
        outer = self.scale * (excess + self.scale * ((1.0 - math.log(2.0)) - log))
        value = where(beyond, outer, near)
        # 1 / (1 + a), or 1 / a far out. Its square is psi', which autodiff would compute as a difference that cancels.
        quotient = where(far, tf.constant(self.scale, a.dtype), s) / where(far, magnitude, s + a)
        slope = where(far, tf.sign(residual) * self.scale, residual * quotient)
        return value, attach_slope(residual, slope, quotient * quotient)
