"""What several penalties share to stay accurate at both ends of the floating range."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# Exponents are clipped here: exp(_SHIFT - _DEEPEST) is 0 and exp(_DEEPEST - _SHIFT) is inf.
_DEEPEST = {tf.float32: 140.0, tf.float64: 780.0}
_SHIFT = 32.0
# More bits than a significand has.
_DIGITS = {tf.float32: 32, tf.float64: 60}
# The integer of the same width, and the mask that keeps the upper half of the significand (12 of 24, 26 of 53 bits).
_UPPER_HALF = {tf.float32: (tf.int32, -(1 << 12)), tf.float64: (tf.int64, -(1 << 27))}


def where(condition: tf.Tensor, x: tf.Tensor | float, y: tf.Tensor | float) -> tf.Tensor:
    """`tf.where` that takes a Python number at the other argument's dtype."""
    dtype = x.dtype if isinstance(x, tf.Tensor) else y.dtype  # type: ignore[union-attr]
    return tf.where(condition, tf.convert_to_tensor(x, dtype), tf.convert_to_tensor(y, dtype))


def reused(x: tf.Tensor, bound: float = 2.0) -> tf.Tensor:
    """`x`, a quotient, root or logarithm below `bound`, to be read often; a NaN may be lost on the way.

    XLA:CPU fuses such an operation into one reader, or writes it to memory. So one reads it that changes nothing, is
    cheap enough to be fused into many, and is none that XLA would simplify away.
    """
    return tf.minimum(x, bound)


def in_unit(residual: tf.Tensor, scale: float, order: int) -> tuple[tf.Tensor, tf.Tensor, float]:
    """Whether |r| / s is so large that its power `order`, 1 or 2, plus 1 rounds to itself; r / p, 0 there; and s / p.

    p is the power of 2 below s: these quotients are exact, and the squares of s / p, from 1 to 4, and of r / p do not
    overflow. 1 + (r / s)^2 is better taken from them, as ((s / p)^2 + (r / p)^2) / (s / p)^2: the only rounding is that
    of the sum, and of a quotient of which it is a part.
    """
    far = tf.abs(residual) > scale * 2.0 ** (_DIGITS[residual.dtype] // order)
    unit = 2.0 ** math.floor(math.log2(scale))
    return far, where(far, 0.0, residual) / unit, scale / unit


def lorentzian(residual: tf.Tensor, scale: float, far: tf.Tensor, r: tf.Tensor, s: float) -> tf.Tensor:
    """1 / (1 + u^2), u = residual / scale, and where that is `far` 1 / |u|; `far`, r and s as `in_unit` gives them."""
    numerator = where(far, tf.constant(scale, r.dtype), s * s)
    return reused(numerator / where(far, tf.abs(residual), s * s + r * r))


def polynomial(coefficients: Sequence[float], x: tf.Tensor) -> tf.Tensor:
    """c_0 + c_1 x + c_2 x^2 + ... by Horner's rule."""
    *rest, last = coefficients
    total = tf.fill(tf.shape(x), tf.constant(last, x.dtype))
    total.set_shape(x.shape)
    for coefficient in reversed(rest):
        total = total * x + coefficient
    return total


def over_self(function_of_x: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """f(x) / x for a `function_of_x` f with f(x) = x + O(x^2), x >= 0: 1 where f may be flushed to 0."""
    small = x < 1e-24
    return where(small, 1.0, function_of_x / where(small, 1.0, x))


def log1p_over_self(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x) / x for 0 <= x <= 1, 1 at 0."""
    y = reused(1.0 / (2.0 + x))
    return 2.0 * y * artanh_over_self(tf.square(x * y))


def artanh_over_self(z_squared: tf.Tensor, most: float = 1 / 9) -> tf.Tensor:
    """artanh(z) / z = 1 + z^2 / 3 + z^4 / 5 + ... for z^2 <= `most`: half of log(1 + x) / z for z = x / (2 + x)."""
    enough = np.finfo(z_squared.dtype.as_numpy_dtype).eps / 16
    terms = next(n for n in itertools.count(1) if most**n / (2 * n + 1) < enough)
    return polynomial([1.0 / (2 * n + 1) for n in range(terms)], z_squared)


def expm1_over_self(x: tf.Tensor) -> tf.Tensor:
    """(exp(x) - 1) / x for |x| <= 1/2, by its Taylor series: XLA's own expm1 is off by up to 5 ulp."""
    terms = {tf.float32: 9, tf.float64: 16}[x.dtype]
    return polynomial([1.0 / math.factorial(n + 1) for n in range(terms)], x)


def gaussian(residual: tf.Tensor, scale: float, rate: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """exp(-rate (r / scale)^2) within a few ulp at any depth, as two factors; `rate` is plus or minus a power of 2.

    One rounding of u = r / scale alone costs 2 u^2 ulp of the result. So u is split: the upper half of its bits has an
    exact square, and what is left, kept with the remainder of the division, enters as a factor near 1.

    Returns:
        `residual`, clipped to where the Gaussian is surely 0 (or inf); the Gaussian over the last factor; and that
        factor: 1, or exp(-+32) where the Gaussian itself might underflow (overflow) while r times it would not.
    """
    dtype = residual.dtype
    integer, mask = _UPPER_HALF[dtype]
    deepest = scale * math.sqrt(_DEEPEST[dtype] / abs(rate))
    residual = where(tf.abs(residual) > deepest, tf.sign(residual) * deepest, residual)
    bits = tf.bitwise.bitwise_and(tf.bitcast(residual / scale, integer), tf.constant(mask, integer))
    # A constant to autodiff: the derivative, 2 rate u / scale, arrives in full through `rest`.
    upper = tf.stop_gradient(tf.bitcast(bits, dtype))
    scale_upper, scale_lower = _split(scale, dtype)
    rest = ((residual - upper * scale_upper) - upper * scale_lower) / scale
    delta = -rate * rest * (2.0 * upper + rest)
    factor = 1.0 + delta * polynomial([1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120], delta)
    # Exact also after the shift: the exponent is a half-width square, above 32, and only shrinks.
    exponent, sign = abs(rate) * (upper * upper), math.copysign(1.0, -rate)
    deep = exponent > _SHIFT
    power = tf.exp(sign * (exponent - where(deep, tf.constant(_SHIFT, dtype), 0.0)))
    return residual, power * factor, where(deep, tf.constant(math.exp(sign * _SHIFT), dtype), 1.0)


def _split(number: float, dtype: tf.DType) -> tuple[float, float]:
    """`number`, rounded to `dtype`, as a sum of two numbers of half as many bits."""
    float_type, int_type = dtype.as_numpy_dtype, _UPPER_HALF[dtype][0].as_numpy_dtype
    whole = np.asarray(number, float_type)
    upper = (whole.view(int_type) & int_type(_UPPER_HALF[dtype][1])).view(float_type)
    return float(upper), float(whole - upper)
