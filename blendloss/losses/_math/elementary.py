"""Exponentials and logarithms that are accurate within two ulp and need few instructions; XLA's do neither.

Arithmetic on the exponent's bits splits off the power of 2. The rest is near 0, where a polynomial is accurate. Nothing
is evaluated twice, unlike with a series near 0 and a library function elsewhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal.custom_gradient import custom_gradient
from blendloss.losses._math.numerics import coefficients, fusion_barrier, series, where

# The integer type of the same width, and the first bit of the exponent.
_EXPONENT = {tf.float32: (tf.int32, 23), tf.float64: (tf.int64, 52)}
# log 2 in two parts; the product of the first and a small integer is exact.
_LOG_2 = {
    tf.float32: (0.693359375, -2.12194440054690583e-4),
    tf.float64: (0.693147180369123816490, 1.90821492927058770002e-10),
}
# (artanh(z) - z) / z^3 in z^2 <= 1/9, and (exp(f) - 1 - f) / f^2 in |f| <= 0.45.
_ARTANH = coefficients(lambda n: 1.0 / (2 * n + 3), 1 / 9)
_EXP = coefficients(lambda n: 1.0 / math.factorial(n + 2), 0.45)


def expm1(x: tf.Tensor) -> tf.Tensor:
    """exp(x) - 1 for |x| <= 80."""
    power, f, more = expm1_parts(x)
    return power * (f + f * more) + (power - 1.0)  # if 2^n = 1, only the first term remains: nothing cancels near 0


def expm1_parts(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """2^n, f and (exp(f) - 1) / f - 1, with x = n log 2 + f, |f| <= log(2) / 2, and f = x where n = 0; |x| <= 80."""
    n, f = _split_off_power_of_2(x)
    return _power_of_2(n), f, f * series(_EXP, f, -0.347, 0.347)


def exp_in_two(x: tf.Tensor, more: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """exp(x + `more`) as a product of two numbers, each about its root. x is exact, and a constant for autodiff.

    Args:
        x: a tensor within twice the range of exponents.
        more: a tensor with |more| <= 0.1.
    """
    n, f = _split_off_power_of_2(x)
    half = tf.floor(0.5 * n)

    @custom_gradient
    def first(more: tf.Tensor) -> Any:
        power, rest = _power_of_2(n - half), f + more
        value = power * (rest + rest * rest * series(_EXP, rest, -0.45, 0.45)) + power
        return value, lambda upstream: upstream * first(more)

    return first(more), tf.stop_gradient(_power_of_2(half))


def log1p(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x) for x >= 0."""
    integer, bits = _EXPONENT[x.dtype]
    # 1 + x = 2^n (1 + f), 0 <= f < 1, and f = x where n = 0. 2^-n may underflow, but 2^(1-n) does not.
    exponent = tf.bitwise.right_shift(tf.bitcast(1.0 + x, integer), tf.constant(bits, integer))
    n = tf.cast(exponent, x.dtype) - _bias(x.dtype)
    power = _power_of_2(1.0 - n)
    f = (0.5 * x) * power + (0.5 * power - 1.0)
    # With z = f / (2 + f), log(1 + f) = 2 artanh(z) = 2 z + 2 z^3 / 3 + 2 z^5 / 5 + ..., and f - 2 z = f z.
    z = f * fusion_barrier(1.0 / (2.0 + f))
    square = z * z
    less = z * (f - 2.0 * square * series(_ARTANH, square, 0.0, 1 / 9))
    return where(x <= x.dtype.max, n * math.log(2.0) + (f - less), x)


def _split_off_power_of_2(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """n, whole, and f with x = n log 2 + f, |f| <= log(2) / 2, and f = x where n = 0."""
    n = tf.round(x * (1.0 / math.log(2.0)))
    upper, lower = _LOG_2[x.dtype]
    return n, (x - n * upper) - n * lower


def _power_of_2(n: tf.Tensor) -> tf.Tensor:
    """2^n for an integer n that is the exponent of a normal number."""
    integer, bits = _EXPONENT[n.dtype]
    # Exact, because the exponent has few bits. Not an integer sum: TensorFlow adds int32 on the host, on any device.
    return tf.bitcast(tf.cast((n + _bias(n.dtype)) * 2.0**bits, integer), n.dtype)


def _bias(dtype: tf.DType) -> float:
    return 1.0 - float(np.finfo(dtype.as_numpy_dtype).minexp)
