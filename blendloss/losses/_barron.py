"""Barron's general robust penalty."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.losses._math.gaussian import gaussian
from blendloss.losses._math.numerics import expm1_over_self, fusion_barrier, log1p_over_self, over_self, where
from blendloss.losses._penalty import Penalty

# If |alpha| is below this, the general form equals that of alpha = 0 to a tenth of an ulp for |u| up to 1e30.
_ZERO = {tf.float32: 1e-10, tf.float64: 1e-19}
# If |alpha| is above this, the general form equals that of an infinite alpha wherever it is neither 0 nor infinite.
_INFINITE = {tf.float32: 1e11, tf.float64: 1e22}
# From this exponent on, the rounding of a power's base, 1 + u^2 / b, costs more digits than that of its logarithm.
_STEEP = 64.0


@register
class Barron(Penalty):
    """Barron's general penalty: one continuous shape from Welsch to least squares and beyond.

        rho(r) = b / alpha ((1 + u^2 / b)^(alpha / 2) - 1),    b = |alpha - 2|,    u = r / c,    r = y_pred - y_true
        psi(r) = r / c^2 (1 + u^2 / b)^(alpha / 2 - 1)

    At the limits, rho is u^2 / 2 at alpha = 2, log(1 + u^2 / 2) at 0, 1 - exp(-u^2 / 2) at -inf, exp(u^2 / 2) - 1 at
    +inf. The curvature at 0 is 1 / c^2: unlike the other penalties here, rho is a function of r / c only. alpha = 1 is
    pseudo-Huber / c^2, alpha = 0 is Cauchy, and alpha = -2 is Geman-McClure.

    Args:
        alpha: the shape, any real number or plus or minus infinity; smaller is more robust.
        scale: c, positive, in units of the residual.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `alpha` is not a number, or `scale` is not a positive number whose square and its
            reciprocal fit float32. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.Barron(alpha=0.0)([0.0], [2.0])[0]), 6)
        1.098612
        >>> round(bl.losses.Barron.tuned(0.95, alpha=0.0).scale, 4)
        1.6864

    References:
        Barron, A general and adaptive robust loss function, CVPR 2019, arXiv:1701.03077, equations (8) and (9).

    Deviations:
        The special cases are exact, and alphas near them are accurate. The paper's implementation shifts alpha and b by
        1e-6 instead (its appendix B).
    """

    tuned_argument = "scale"

    def __init__(self, alpha: float = 1.0, scale: float = 1.0) -> None:
        self.alpha = checks.real("alpha", alpha)
        self.scale = checks.squared_divisor("scale", scale)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "scale": self.scale}

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        u = residual / self.scale
        if self.alpha == 2.0:
            return 0.5 * u * u, u / self.scale
        if abs(self.alpha) > _INFINITE[residual.dtype]:
            return self._exponential(residual, u)
        return self._power(residual, u)

    def _exponential(self, residual: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        sign = math.copysign(1.0, self.alpha)
        clipped, power, shift = gaussian(residual, self.scale, -0.5 * sign)
        far = tf.abs(u) > 1.0
        near = 0.5 * u * (u * expm1_over_self(sign * 0.5 * tf.square(where(far, 0.0, u))))
        return where(far, sign * (power * shift - 1.0), near), clipped / self.scale * shift / self.scale * power

    def _power(self, residual: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        alpha, b, root = self.alpha, abs(self.alpha - 2.0), math.sqrt(abs(self.alpha - 2.0))
        magnitude = tf.abs(residual)
        # With v = |u| / sqrt(b), 1 + u^2 / b = 1 + v^2 up to v = 1 and v^2 (1 + v^-2) beyond, where v^2 may overflow.
        far, w = _fold(magnitude, self.scale * root)
        t = w * w
        log = t * log1p_over_self(t)
        log_v = _log_of_ratio(far, w, magnitude, self.scale * root)
        inner = _power(1.0 + t, log, 0.5 * alpha - 1.0)

        # Far out psi = sqrt(b) / c v^(alpha - 1) (1 + v^-2)^(alpha/2 - 1), with the factor b / |r| split off if
        # v^(alpha - 1) may underflow (and alpha - 1 is not exact).
        if alpha <= 1.0:
            tail = _far_power(far, w, magnitude / (self.scale * root), log_v, alpha) * inner
            far_slope = tf.sign(residual) * (b / where(far, magnitude, 1.0)) * tail
            direct = (b / alpha if alpha else 0.0) * tail * (1.0 + t)
        else:
            tail = _far_power(far, w, magnitude / (self.scale * root), log_v, alpha - 1.0) * inner
            far_slope = tf.sign(residual) * (root / self.scale) * tail
            direct = (root / alpha) * tf.abs(u) * ((1.0 + t) * tail)
        slope = where(far, far_slope, u / self.scale * inner)

        if abs(alpha) < _ZERO[residual.dtype]:
            growth, far_value, limit = log, 2.0 * log_v + log, math.inf
        else:
            growth = _expm1(0.5 * alpha * log) / (0.5 * alpha)
            # Rounding z costs |z| ulp of exp(z): the power is taken directly unless it is close to 1.
            z = alpha * (log_v + 0.5 * log)
            far_value = where(tf.abs(z) < 0.5, (b / alpha) * _expm1(z), direct - b / alpha)
            limit = math.inf if alpha > 0 else -b / alpha
        value = where(far, far_value, 0.5 * u * (u * over_self(growth, t)))
        infinite = tf.math.is_inf(residual)
        slope_limit = 0.0 if alpha < 1 else 1.0 / self.scale if alpha == 1 else math.inf
        return where(infinite, limit, value), where(infinite, tf.sign(residual) * slope_limit, slope)


def _fold(magnitude: tf.Tensor, scale: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether a = |r| / s exceeds 1, and b = min(a, 1 / a), whose square never overflows.

    This is one division of tensors, exact to half an ulp (XLA turns a division by a constant into a product). It is 0
    for infinite residuals.
    """
    far = magnitude > scale
    return far, fusion_barrier(where(far, scale, magnitude) / where(far, magnitude, scale))


def _log_of_ratio(far: tf.Tensor, b: tf.Tensor, magnitude: tf.Tensor, scale: float) -> tf.Tensor:
    """log a where `far`, 0 elsewhere, from `_fold`'s b. It is right if b is flushed to 0, and finite at infinity."""
    flushed = far & (b < 1e-30)
    log = tf.math.log(where(flushed, tf.minimum(magnitude, magnitude.dtype.max), where(far, b, 1.0)))
    # The logarithm has one consumer: see `fusion_barrier`.
    one = tf.constant(1.0, log.dtype)
    return where(flushed, one, -1.0) * log - where(flushed, one * math.log(scale), 0.0)


def _far_power(far: tf.Tensor, w: tf.Tensor, v: tf.Tensor, log_v: tf.Tensor, exponent: float) -> tf.Tensor:
    """v^exponent where `far`. The base is v or w = 1 / v, so that the power's derivative stays finite."""
    if exponent > 0:
        return _power(where(far, v, 1.0), log_v, exponent)
    return _power(where(far, w, 1.0), -log_v, -exponent)


def _power(base: tf.Tensor, log: tf.Tensor, exponent: float) -> tf.Tensor:
    """base^exponent. `log` = log(base) corrects the rounding of the exponent to the dtype, up to 70 ulp in float32."""
    if abs(exponent) > _STEEP:
        return tf.exp(exponent * log)
    rounded = float(base.dtype.as_numpy_dtype(exponent))
    return tf.pow(base, tf.constant(rounded, base.dtype)) * (1.0 + (exponent - rounded) * log)


def _expm1(x: tf.Tensor) -> tf.Tensor:
    small = tf.abs(x) <= 0.5
    return where(small, x * expm1_over_self(where(small, x, 0.0)), tf.math.expm1(x))
