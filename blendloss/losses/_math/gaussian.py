"""The Gaussian function, accurate far into its tail."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from blendloss.losses._math.elementary import exp_in_two

# Exponents are clipped here: exp(-_DEEPEST) and exp(_DEEPEST) are 0 and inf, even after a moderate factor.
_DEEPEST = {tf.float32: 174.0, tf.float64: 1400.0}
# The integer of the same width, and the mask that keeps the upper half of the significand (12 of 24, 26 of 53 bits).
_UPPER_HALF = {tf.float32: (tf.int32, -(1 << 12)), tf.float64: (tf.int64, -(1 << 27))}


def gaussian(residual: tf.Tensor, scale: float, rate: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """exp(-rate (r / scale)^2), accurate to a few ulp for every r, as two factors.

    A single rounding of u = r / scale costs 2 u^2 ulp of the result. So u is split: the upper half of its bits has an
    exact square. The rest, with the remainder of the division, is added where the exponent is near 0.

    Args:
        residual: r, float32 or float64, of any shape.
        scale: a positive float, in units of the residual.
        rate: plus or minus a power of 2.

    Returns:
        `residual`, clipped to the range beyond which the Gaussian is 0 (or inf), and two factors of the Gaussian. Their
        product may underflow (or overflow) although r times it does not: multiply r by one factor, then by the other.
    """
    dtype = residual.dtype
    integer, mask = _UPPER_HALF[dtype]
    deepest = min(scale * math.sqrt(_DEEPEST[dtype] / abs(rate)), float(dtype.max))
    residual = tf.clip_by_value(residual, -deepest, deepest)
    bits = tf.bitwise.bitwise_and(tf.bitcast(residual / scale, integer), tf.constant(mask, integer))
    # A constant for autodiff: the whole derivative, -2 rate u / scale, flows through `rest`.
    upper = tf.stop_gradient(tf.bitcast(bits, dtype))
    scale_upper, scale_lower = _split(scale, dtype)
    rest = residual - upper * scale_upper
    rest = (rest - upper * scale_lower if scale_lower else rest) / scale
    power, shift = exp_in_two(-rate * (upper * upper), -rate * rest * (2.0 * upper + rest))
    return residual, power, shift


def _split(number: float, dtype: tf.DType) -> tuple[float, float]:
    """`number`, rounded to `dtype`, as a sum of two numbers with half as many bits."""
    float_type, int_type = dtype.as_numpy_dtype, _UPPER_HALF[dtype][0].as_numpy_dtype
    whole = np.asarray(number, float_type)
    upper = (whole.view(int_type) & int_type(_UPPER_HALF[dtype][1])).view(float_type)
    return float(upper), float(whole - upper)
