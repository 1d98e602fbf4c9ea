"""What several penalties share to stay accurate at both ends of the floating range."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# Exponents are clipped here: exp(_SHIFT - _DEEPEST) is 0 and exp(_DEEPEST - _SHIFT) is inf.
_DEEPEST = {tf.float32: 140.0, tf.float64: 780.0}
_SHIFT = 32.0
# The integer of the same width, and the mask that keeps the upper half of the significand (12 of 24, 26 of 53 bits).
_UPPER_HALF = {tf.float32: (tf.int32, -(1 << 12)), tf.float64: (tf.int64, -(1 << 27))}


def where(condition: tf.Tensor, x: tf.Tensor | float, y: tf.Tensor | float) -> tf.Tensor:
    """`tf.where` that takes a Python number at the other argument's dtype."""
    dtype = x.dtype if isinstance(x, tf.Tensor) else y.dtype  # type: ignore[union-attr]
    return tf.where(condition, tf.convert_to_tensor(x, dtype), tf.convert_to_tensor(y, dtype))


def reused(x: tf.Tensor) -> tf.Tensor:
    """`x`, a quotient, root or logarithm below 2, to be read often; a NaN may be lost on the way.

    XLA:CPU fuses such an operation into one reader, or writes it to memory. So one reads it that changes nothing, is
    cheap enough to be fused into many, and is none that XLA would simplify away.
    """
    return tf.minimum(x, 2.0)


def folded(magnitude: tf.Tensor, scale: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether a = |r| / s exceeds 1, and b = min(a, 1 / a), whose square never overflows.

    One division of tensors: exact to half an ulp (XLA turns a division by a constant into a product), and 0 for
    infinite residuals.
    """
    far = magnitude > scale
    return far, reused(where(far, scale, magnitude) / where(far, magnitude, scale))


def log_of_ratio(far: tf.Tensor, b: tf.Tensor, magnitude: tf.Tensor, scale: float) -> tf.Tensor:
    """log a where `far`, 0 elsewhere, from `folded`'s b; also where b is flushed to 0, and finite at infinity."""
    flushed = far & (b < 1e-30)
    log = tf.math.log(where(flushed, tf.minimum(magnitude, magnitude.dtype.max), where(far, b, 1.0)))
    # One reader of the logarithm: see `reused`.
    one = tf.constant(1.0, log.dtype)
    return where(flushed, one, -1.0) * log - where(flushed, one * math.log(scale), 0.0)


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
    """log(1 + x) / x for 0 <= x <= 1, 1 at 0: with y = 1 / (2 + x) and z = x y, 2 y (1 + z^2 / 3 + z^4 / 5 + ...)."""
    terms = {tf.float32: 8, tf.float64: 17}[x.dtype]
    y = reused(1.0 / (2.0 + x))
    return 2.0 * y * polynomial([1.0 / (2 * n + 1) for n in range(terms)], tf.square(x * y))


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
