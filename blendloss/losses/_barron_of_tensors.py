"""Barron's penalty for tensors of residuals, shapes and scales, with its derivatives in all three; 0 <= alpha <= 2.

With u = r / c, b = 2 - alpha, S = 1 + u^2 / b, L = log S, z = alpha L / 2 and E(z) = (exp(z) - 1) / z:

    rho          = b / alpha (S^(alpha / 2) - 1) = b / 2 L E(z)
    d rho / d r  = u / c S^(-b / 2)
    d rho / d c  = -u^2 / c S^(-b / 2)
    d rho / d a  = b / 4 (L^2 E'(z) - L E(z) + L E(z - L)) = b / 4 integral_0^L exp(alpha y / 2) h(y) dy,
                   h(y) = y - 1 + exp(-y)

The derivative of rho's own formula has a rounding error of eps u^2 / b, which exceeds the derivative near alpha = 2.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._internal.custom_gradient import custom_gradient
from blendloss.losses._barron import Barron
from blendloss.losses._math.numerics import expm1_over_self, over_self, polynomial, where
from blendloss.losses._math.quadrature import cells

# The least b = 2 - alpha. A smaller b changes rho by less than its rounding error.
_NEAREST = {tf.float32: 1e-9, tf.float64: 1e-18}
# h(y) / y^2 by its Taylor series, and Gauss-Legendre's rule on [0, 1], for L <= 1: both good to an ulp.
_TERMS = {tf.float32: 9, tf.float64: 17}
_POINTS = {tf.float32: 5, tf.float64: 8}
# The cells of Z's quadrature are such that the penalties of these shapes are smooth in each. Beyond _FARTHEST lies
# 2e-16 of Z.
_ALPHAS = (0.0, 0.25, 0.5, 1.0, 1.5, 1.75, 1.9, 1.99, 1.999, 1.999999, 2.0)
_FARTHEST = 1e16


class Shape(NamedTuple):
    """alpha and b = 2 - alpha, both accurate in all digits; `[]`, `[D]` or the residual's shape."""

    alpha: tf.Tensor
    b: tf.Tensor


def values(residual: tf.Tensor, shape: Shape, scale: tf.Tensor) -> tf.Tensor:
    """rho(r, alpha, c), elementwise, with closed-form derivatives. All tensors have one shape and dtype."""
    alpha = shape.alpha
    # For autodiff, b is 2 - alpha: second derivatives go through both.
    b = tf.stop_gradient(tf.maximum(shape.b, _NEAREST[alpha.dtype])) + (tf.stop_gradient(alpha) - alpha)
    value, *slopes = _value_and_slopes(residual, Shape(alpha, b), scale)
    return _attach_slopes(residual, alpha, scale, tf.stop_gradient(value), *slopes)


def log_partition(shape: Shape) -> tf.Tensor:
    """log Z(alpha) of a float64 `shape`, `[]` or `[D]`, differentiable at every order."""
    nodes, log_weights = _half_line()
    columns = [tf.broadcast_to(one[..., tf.newaxis], tf.concat([tf.shape(one), [len(nodes)]], 0)) for one in shape]
    at = tf.broadcast_to(tf.constant(nodes), tf.shape(columns[0]))
    energy = values(at, Shape(*columns), tf.ones_like(at))
    return tf.reduce_logsumexp(tf.constant(log_weights) - energy, axis=-1) + math.log(2.0)


@functools.cache
def _half_line() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and log weights for integrals over u > 0."""
    found = cells([Barron(alpha) for alpha in _ALPHAS])
    keep = (found.nodes > 0) & (found.nodes < _FARTHEST)
    return found.nodes[keep], found.log_weights[keep]


@custom_gradient
def _attach_slopes(
    residual: tf.Tensor,
    alpha: tf.Tensor,
    scale: tf.Tensor,
    value: tf.Tensor,
    in_residual: tf.Tensor,
    in_alpha: tf.Tensor,
    in_scale: tf.Tensor,
) -> Any:
    """`value` with the given derivatives. Higher orders differentiate these."""

    def gradient(upstream: tf.Tensor) -> tuple[Any, ...]:
        # If the loss has weight 0, alpha and c must receive no gradient: 0 times infinity is 0 here, not NaN.
        slopes = (in_residual, in_alpha, in_scale)
        return (*(tf.math.multiply_no_nan(slope, upstream) for slope in slopes), None, None, None, None)

    return tf.identity(value), gradient


def _value_and_slopes(residual: tf.Tensor, shape: Shape, scale: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """rho and its derivatives in r, alpha and c: four tensors of the residual's shape."""
    alpha, b = shape
    dtype = residual.dtype
    sign, root = tf.sign(residual), tf.sqrt(b)
    a = tf.abs(residual) / scale  # |u|
    infinite = tf.math.is_inf(a)
    a = where(infinite, 1.0, a)
    # With v = a / sqrt(b), S = 1 + v^2 up to v = 1 and v^2 (1 + v^-2) beyond, where v^2 may overflow.
    far = a > root
    w = where(far, root, a) / where(far, a, root)
    w = where(far, tf.maximum(w, np.finfo(dtype.as_numpy_dtype).tiny), w)
    t = w * w
    log = tf.math.log1p(t) - 2.0 * tf.math.log(where(far, w, 1.0))  # L
    inner = tf.pow(1.0 + t, -0.5 * b)
    decay = tf.pow(where(far, w, 1.0), b) * inner  # S^(-b / 2)
    # u^2 S^(-b / 2) and |u| S^(-b / 2), without intermediate overflow or underflow.
    heavy = far & (alpha < 1.0)
    power = b * tf.pow(where(heavy, a, 1.0) / where(heavy, root, 1.0), where(heavy, alpha, 1.0)) * inner
    square = where(heavy, power, a * (a * decay))
    influence = where(heavy, power / where(heavy, a, 1.0), a * decay)

    z = 0.5 * alpha * log
    near = z <= 0.5
    small = where(near, z, 0.0)
    divisor = where(near, 1.0, alpha)
    grown = b * decay + square  # b S^(alpha / 2)
    near_value = where(far, b * (0.5 * log), 0.5 * a * (a * over_self(log, t))) * expm1_over_self(small)
    value = where(near, near_value, (grown - b) / divisor)

    lost = -_expm1(-0.5 * b * log)  # 1 - S^(-b / 2)
    curved = 0.5 * b * log * log * _slope_of_expm1_over_self(small)
    ratio = 2.0 / divisor + 1.0
    in_alpha = where(near, curved - value, (grown * (log - ratio) + b * ratio) / divisor)
    low = log <= 1.0
    in_alpha = where(low, 0.25 * b * _integral(where(low, log, 1.0), 0.5 * alpha), 0.5 * (in_alpha + lost))

    limit = where(alpha < 1.0, 0.0, where(alpha > 1.0, tf.constant(math.inf, dtype), 1.0 / scale))
    in_scale = where(heavy, power / scale, a * (influence / scale))
    in_scale_limit = where(alpha > 0.0, tf.constant(math.inf, dtype), 2.0 / scale)
    return (
        where(infinite, math.inf, value),
        sign * where(infinite, limit, influence / scale),
        where(infinite, math.inf, in_alpha),
        -where(infinite, in_scale_limit, in_scale),
    )


def _integral(length: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """integral_0^L exp(rate y) h(y) dy for L <= 1: L^3 times a smooth function, by Gauss-Legendre."""
    points, weights = np.polynomial.legendre.leggauss(_POINTS[length.dtype])
    series = [(-1.0) ** n / math.factorial(n + 2) for n in range(_TERMS[length.dtype])]
    total = tf.zeros_like(length)
    for point, weight in zip((1.0 + points) / 2.0, weights / 2.0, strict=True):
        y = point * length
        total += float(weight * point**2) * tf.exp(rate * y) * polynomial(series, y)
    return length * length * length * total


def _slope_of_expm1_over_self(z: tf.Tensor) -> tf.Tensor:
    """E'(z) for |z| <= 1/2."""
    terms = {tf.float32: 9, tf.float64: 16}[z.dtype]
    return polynomial([(n + 1.0) / math.factorial(n + 2) for n in range(terms)], z)


def _expm1(x: tf.Tensor) -> tf.Tensor:
    small = tf.abs(x) <= 0.5
    return where(small, x * expm1_over_self(where(small, x, 0.0)), tf.math.expm1(x))
