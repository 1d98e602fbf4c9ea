"""Exponentials and logarithms within two ulp and of few instructions, where XLA's are neither.

Arithmetic on the exponent's bits splits off the power of 2; what is left is near 0, and so is its polynomial's error.
Unlike a choice between a series near 0 and a function elsewhere, nothing is evaluated twice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from blendloss.losses._numerics import coefficients, reused, series, where

# The integer as wide as the type, and where its exponent begins.
_EXPONENT = {tf.float32: (tf.int32, 23), tf.float64: (tf.int64, 52)}
# log 2 in two parts; the product of the first and a small integer is exact.
_LOG_2 = {
    tf.float32: (0.693359375, -2.12194440054690583e-4),
    tf.float64: (0.693147180369123816490, 1.90821492927058770002e-10),
}
# (artanh(z) - z) / z^3 in z^2 <= 1/9, and (exp(f) - 1 - f) / f^2 in |f| <= 0.42.
_ARTANH = coefficients(lambda n: 1.0 / (2 * n + 3), 1 / 9)
_EXP = coefficients(lambda n: 1.0 / math.factorial(n + 2), 0.42)


def expm1(x: tf.Tensor) -> tf.Tensor:
    """exp(x) - 1 for |x| <= 80."""

    @tf.custom_gradient
    def of(x: tf.Tensor) -> Any:
        n, f = _halvings(x)
        power = _power_of_2(n)
        # Where n = 0 only the first term is left: nothing cancels near 0.
        return power * _expm1(f, 0.347) + (power - 1.0), lambda upstream: upstream * (1.0 + expm1(x))

    return of(x)


def exp_in_two(x: tf.Tensor, more: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """exp(x + `more`) as a product of two numbers, each the root of it, about; x is exact, and constant to autodiff.

    Args:
        x: within twice the range of exponents.
        more: at most 0.07 in size.
    """
    n, f = _halvings(x)
    half = tf.floor(0.5 * n)

    @tf.custom_gradient
    def first(more: tf.Tensor) -> Any:
        power = _power_of_2(n - half)
        return power * _expm1(f + more, 0.42) + power, lambda upstream: upstream * first(more)

    return first(more), tf.stop_gradient(_power_of_2(half))


def log1p(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x) for x >= 0."""
    integer, bits = _EXPONENT[x.dtype]
    one = np.asarray(1.0, x.dtype.as_numpy_dtype).view(integer.as_numpy_dtype)
    place = tf.constant(bits, integer)

    @tf.custom_gradient
    def of(x: tf.Tensor) -> Any:
        # 1 + x = 2^n (1 + f), 0 <= f < 1, and f = x where n = 0. The bits are lowered by n: 2^-n may underflow.
        n = tf.bitwise.right_shift(tf.bitcast(1.0 + x, integer) - one, place)
        lowered = tf.bitwise.left_shift(n, place)
        f = tf.bitcast(tf.bitcast(x, integer) - lowered, x.dtype) + (tf.bitcast(one - lowered, x.dtype) - 1.0)
        # With z = f / (2 + f), log(1 + f) = 2 artanh(z) = 2 z + 2 z^3 / 3 + 2 z^5 / 5 + ..., and f - 2 z = f z.
        z = f * reused(1.0 / (2.0 + f))
        square = z * z
        less = z * (f - 2.0 * square * series(_ARTANH, square, 0.0, 1 / 9))
        log = tf.cast(n, x.dtype) * math.log(2.0) + (f - less)
        return where(x <= x.dtype.max, log, x), lambda upstream: upstream / (1.0 + x)

    return of(x)


def _halvings(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """n, whole, and f with x = n log 2 + f, |f| <= log(2) / 2, and f = x where n = 0."""
    n = tf.round(x * (1.0 / math.log(2.0)))
    upper, lower = _LOG_2[x.dtype]
    return n, (x - n * upper) - n * lower


def _expm1(f: tf.Tensor, most: float) -> tf.Tensor:
    """exp(f) - 1 for |f| <= `most`: f plus what is smaller, so that hardly more is lost than in one rounding."""
    return f + f * f * series(_EXP, f, -most, most)


def _power_of_2(n: tf.Tensor) -> tf.Tensor:
    """2^n for a whole n that is the exponent of a normal number."""
    integer, bits = _EXPONENT[n.dtype]
    bias = 1 - np.finfo(n.dtype.as_numpy_dtype).minexp
    return tf.bitcast(tf.bitwise.left_shift(tf.cast(n, integer) + bias, tf.constant(bits, integer)), n.dtype)
