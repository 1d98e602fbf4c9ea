"""Numerics that several penalties share, accurate for very small and very large residuals."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from numpy.polynomial import Chebyshev, Polynomial

# More bits than the significand has.
_DIGITS = {tf.float32: 32, tf.float64: 60}


def where(condition: tf.Tensor, x: tf.Tensor | float, y: tf.Tensor | float) -> tf.Tensor:
    """`tf.where` that converts a Python number to the dtype of the other argument."""
    dtype = x.dtype if isinstance(x, tf.Tensor) else y.dtype  # type: ignore[union-attr]
    return tf.where(condition, tf.convert_to_tensor(x, dtype), tf.convert_to_tensor(y, dtype))


def fusion_barrier(x: tf.Tensor, bound: float = 2.0) -> tf.Tensor:
    """`x`, a quotient, root or logarithm below `bound` that has several consumers. A NaN may be lost.

    XLA's CPU compiler fuses such an operation into a single consumer, or writes it to memory. The minimum is that
    consumer: it changes no value, is cheap enough to be fused into many consumers, and XLA does not simplify it away.
    """
    return tf.minimum(x, bound)


def divide_by_unit(residual: tf.Tensor, scale: float, order: int) -> tuple[tf.Tensor, tf.Tensor, float]:
    """Divides residual and scale by p, the power of 2 below s = `scale`.

    The quotients are exact. The square of s / p is from 1 to 4, and the square of r / p does not overflow. 1 + (r /
    s)^2 is computed from them as ((s / p)^2 + (r / p)^2) / (s / p)^2, which rounds only the sum and the quotient.

    Args:
        residual: r, float32 or float64, of any shape.
        scale: s, a positive float.
        order: 1 or 2, the power of |r| / s that the caller adds to 1.

    Returns:
        `far`, where (|r| / s)^order + 1 rounds to (|r| / s)^order; r / p, which is 0 where `far`; and s / p.
    """
    far = tf.abs(residual) > min(scale * 2.0 ** (_DIGITS[residual.dtype] // order), float(residual.dtype.max))
    unit = 2.0 ** math.floor(math.log2(scale))
    return far, where(far, 0.0, residual) / unit, scale / unit


def lorentzian(residual: tf.Tensor, scale: float, far: tf.Tensor, r: tf.Tensor, s: float) -> tf.Tensor:
    """1 / (1 + u^2) with u = residual / scale, or 1 / |u| where `far`. `far`, r and s are those of `divide_by_unit`."""
    numerator = where(far, tf.constant(scale, r.dtype), s * s)
    return fusion_barrier(numerator / where(far, tf.abs(residual), s * s + r * r))


def polynomial(coefficients: Sequence[float], x: tf.Tensor) -> tf.Tensor:
    """c_0 + c_1 x + c_2 x^2 + ... by Horner's rule."""
    *rest, last = coefficients
    total = tf.fill(tf.shape(x), tf.constant(last, x.dtype))
    total.set_shape(x.shape)
    for coefficient in reversed(rest):
        total = total * x + coefficient
    return total


def over_self(function_of_x: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """f(x) / x for x >= 0 and f(x) = `function_of_x` = x + O(x^2). It is 1 where f may be flushed to 0."""
    small = x < (1e-24 if x.dtype == tf.float32 else 1e-200)
    return where(small, 1.0, function_of_x / where(small, 1.0, x))


def log1p_over_self(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x) / x for 0 <= x <= 1, 1 at 0."""
    y = fusion_barrier(1.0 / (2.0 + x))
    return 2.0 * y * artanh_over_self(tf.square(x * y))


def artanh_over_self(z_squared: tf.Tensor, most: float = 1 / 9) -> tf.Tensor:
    """artanh(z) / z = 1 + z^2 / 3 + z^4 / 5 + ... for z^2 <= `most`: half of log(1 + x) / z for z = x / (2 + x)."""
    return series(coefficients(lambda n: 1.0 / (2 * n + 1), most), z_squared, 0.0, most)


def expm1_over_self(x: tf.Tensor) -> tf.Tensor:
    """(exp(x) - 1) / x for |x| <= 1/2."""
    return series(coefficients(lambda n: 1.0 / math.factorial(n + 1), 0.5), x, -0.5, 0.5)


def coefficients(of: Callable[[int], float], most: float) -> list[float]:
    """The coefficients of a power series, until the next term is below a sixteenth of an ulp of 1 for |x| <= `most`."""
    enough = np.finfo(np.float64).eps / 16
    return [of(n) for n in range(next(n for n in itertools.count(1) if most**n * of(n) < enough))]


def series(c: Sequence[float], x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """c_0 + c_1 x + c_2 x^2 + ... for `low` <= x <= `high`, with fewer terms if `x` is float32."""
    return polynomial(_economize(tuple(c), low, high) if x.dtype == tf.float32 else c, x)


@functools.cache
def _economize(c: tuple[float, ...], low: float, high: float) -> tuple[float, ...]:
    """The coefficients of the polynomial of least degree with the same values, to a sixteenth of an ulp of float32."""
    whole = Polynomial(c)
    x = np.linspace(low, high, 1001)
    for degree in range(1, len(c)):
        found = Chebyshev.interpolate(whole, degree, domain=[low, high]).convert(kind=Polynomial)
        if np.max(np.abs(found(x) / whole(x) - 1.0)) < np.finfo(np.float32).eps / 16:
            return tuple(found.coef)
    return c
