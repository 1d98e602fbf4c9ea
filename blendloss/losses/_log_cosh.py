"""The log-cosh penalty."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss._serialization import register
from blendloss.losses._numerics import artanh_over_self, polynomial, reused, where
from blendloss.losses._penalty import ScaledPenalty

# log cosh(u) / u^2 as a polynomial in u^2, interpolated at the Chebyshev nodes of [0, 1]; relative error 4e-11 and
# 6e-20. The slope is its derivative, tanh(u) / u = 2 sum (n + 1) c_n u^2n, with 6e-9 and 2e-17.
_COEFFICIENTS = {
    tf.float32: (
        0.49999999997876921, -0.083333329886218716, 0.022222129250610572, -0.0067450562763526818,
        0.0021817510446276498, -0.00072271994121803503, 0.00022705196455844478, -5.6739057947233257e-05,
        7.7434217755859768e-06,
    ),
    tf.float64: (
        0.5, -0.0833333333333333148, 0.0222222222222204324, -0.0067460317459633189, 0.00218694885223454994,
        -0.000738602943859645545, 0.00025658043606239186, -0.0000909888653434813392, 0.0000327760785164952189,
        -0.0000119466241165282035, 4.38266144225282921e-6, -1.59716632965741364e-6, 5.59709923225520597e-7,
        -1.76892748956669629e-7, 4.54786530766834938e-8, -8.11194822786848565e-9, 7.27617893351934908e-10,
    ),
}  # fmt: skip


@register
class LogCosh(ScaledPenalty):
    """Log-cosh (logistic): quadratic near 0, |r| far out, smooth to every order.

        rho(r) = s^2 log cosh(r / s),    psi(r) = s tanh(r / s),    r = y_pred - y_true

    Unit curvature at 0; slope bounded by s. `LogCosh()` is `keras.losses.log_cosh`, but accurate near 0, where the
    usual formula loses every digit.

    Args:
        scale: s, positive; 1.2047 standard deviations is 95 % efficient.

    Returns:
        Calling it on `(y_true, y_pred)`, `[batch, ..., D]`, gives values `[batch, ...]`, as of `Penalty`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number; on calling, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.LogCosh()([0.0], [1e-3])[0]) * 1e7, 4)
        5.0

    References:
        Holland and Welsch, Robust regression using iteratively reweighted least-squares,
        Commun. Statist. A6 (1977), table 1 ("logistic").

    Deviations:
        none.
    """

    tuning = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        a = magnitude / self.scale
        far = a > 1.0
        t = tf.square(where(far, 0.0, a))
        coefficients = _COEFFICIENTS[residual.dtype]
        near_value = residual * residual * polynomial(coefficients, t)
        near_slope = residual * polynomial([2.0 * (n + 1) * c for n, c in enumerate(coefficients)], t)
        # log cosh u = |u| - log 2 + log1p(exp(-2 |u|)) and tanh |u| = (1 - exp(-2 |u|)) / (1 + exp(-2 |u|)).
        decay = tf.exp(-2.0 * a)
        z = decay * reused(1.0 / (2.0 + decay))  # log1p(x) = 2 artanh(x / (2 + x)), x <= e^-2
        log1p = 2.0 * z * artanh_over_self(z * z, most=0.005)
        far_value = self.scale * (magnitude + self.scale * (log1p - math.log(2.0)))
        far_slope = tf.sign(residual) * self.scale * ((1.0 - decay) / (1.0 + decay))
        return where(far, far_value, near_value), where(far, far_slope, near_slope)
