"""The log-cosh penalty."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._math.elementary import expm1
from blendloss.losses._math.numerics import artanh_over_self, fusion_barrier, series, where
from blendloss.losses._penalty import ScaledPenalty, attach_slope

# log cosh(u) / u^2 as a polynomial in u^2, interpolated at the Chebyshev nodes of [0, 1]; relative error 6e-20.
_COEFFICIENTS = (
    0.5, -0.0833333333333333148, 0.0222222222222204324, -0.0067460317459633189, 0.00218694885223454994,
    -0.000738602943859645545, 0.00025658043606239186, -0.0000909888653434813392, 0.0000327760785164952189,
    -0.0000119466241165282035, 4.38266144225282921e-6, -1.59716632965741364e-6, 5.59709923225520597e-7,
    -1.76892748956669629e-7, 4.54786530766834938e-8, -8.11194822786848565e-9, 7.27617893351934908e-10,
)  # fmt: skip
# Up to |u| = _NEAR, tanh |u| is computed by its series; from |u| = _FAR on, it rounds to 1.
_NEAR, _FAR = 0.17, 20.0


@register
class LogCosh(ScaledPenalty):
    """Log-cosh (logistic): quadratic near 0, linear far out, infinitely differentiable.

        rho(r) = s^2 log cosh(r / s),    psi(r) = s tanh(r / s),    r = y_pred - y_true

    Unit curvature at 0; slope bounded by s. `LogCosh()` is `keras.losses.log_cosh`, but it is also accurate near
    0, where the usual formula loses every digit.

    Args:
        scale: s, positive, in units of the residual. With s = 1.2047 standard deviations, the efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.LogCosh()([0.0], [1e-3])[0]) * 1e7, 4)
        5.0

    References:
        Holland and Welsch, Robust regression using iteratively reweighted least-squares,
        Commun. Statist. A6 (1977), table 1 ("logistic").
    """

    tuned_argument = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        a = magnitude / self.scale
        far = a > 1.0
        t = tf.square(where(far, 0.0, a))
        near = residual * (residual * series(_COEFFICIENTS, t, 0.0, 1.0))
        # log cosh u = |u| - log 2 + log1p(d), d = exp(-2 |u|), and log1p(d) = 2 artanh(d / (2 + d)).
        decay = tf.exp(-2.0 * a)
        z = decay * fusion_barrier(1.0 / (2.0 + decay))
        log1p = 2.0 * z * artanh_over_self(z * z, most=0.0041)
        value = where(far, self.scale * (magnitude + self.scale * (log1p - math.log(2.0))), near)
        # tanh |u| = e / (2 + e), e = exp(2 |u|) - 1. Near 0, dividing by the scale and multiplying by it would cost
        # digits.
        e = expm1(2.0 * where(a > _FAR, _FAR, a))
        tanh = where(residual < 0.0, -e, e) / (2.0 + e)
        straight = series([2.0 * (n + 1) * c for n, c in enumerate(_COEFFICIENTS)], t, 0.0, _NEAR**2)
        slope = where(a < _NEAR, residual * straight, self.scale * tanh)
        # 1 - tanh^2 is (1 - tanh) (1 + tanh) = 4 d / (1 + d)^2, where autodiff would compute a difference.
        curvature = where(far, 4.0 * decay / tf.square(1.0 + decay), 1.0 - tf.square(slope / self.scale))
        return value, attach_slope(residual, slope, curvature)
