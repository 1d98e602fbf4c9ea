"""The non-negative combination of slopes whose estimate has the least variance."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from blendloss._solvers.gram import applied
from blendloss._solvers.nonnegative import minimum


class LeastVariance(NamedTuple):
    """The minimum of V(g) = g'Ag / (b'g)^2 over g >= 0.

    Args:
        weights: g with b'g = 1, `[B, K]`; 0 if no loss has a variance.
        variance: V(g), `[B]`; inf if no loss has a variance.
        variances: V_k = A_kk / b_k^2 of each single loss, `[B, K]`; inf if b_k <= 0 or A_kk is 0.
    """

    weights: tf.Tensor
    variance: tf.Tensor
    variances: tf.Tensor


def least_variance(second: tf.Tensor, curvature: tf.Tensor) -> LeastVariance:
    """The minimum of g'Ag / (b'g)^2 over g >= 0, for B problems at once.

    V does not depend on the length of g. For b'g > 0, its minimum lies on the ray of the minimum of g'Ag / 2 - b'g.
    That is solved in units with A_kk = 1, so that the units of the losses cancel. A loss is left out if its curvature
    b_k is not positive, because it estimates nothing by itself, or if its slope is 0 everywhere.

    Args:
        second: A, `[B, K, K]`, float64, positive semidefinite, finite.
        curvature: b, `[B, K]`, float64, finite.
    """
    square = tf.linalg.diag_part(second)
    usable = (curvature > 0) & (square > 0)
    one, zero = tf.ones_like(curvature), tf.zeros_like(curvature)
    size = tf.where(usable, tf.sqrt(tf.where(usable, square, one)), one)
    both = usable[:, :, None] & usable[:, None, :]
    scaled = tf.where(both, second / (size[:, :, None] * size[:, None, :]), tf.zeros_like(second))
    scaled = tf.linalg.set_diag(scaled, one)
    slope = tf.where(usable, curvature / size, zero)  # V_k = 1 / slope_k^2
    largest = tf.reduce_max(slope, axis=1, keepdims=True)
    slope = slope / tf.where(largest > 0, largest, tf.ones_like(largest))
    found = minimum(scaled, slope).z
    weights = tf.where(usable, found / size, zero)
    total = tf.reduce_sum(weights * curvature, axis=1, keepdims=True)
    weights = tf.math.divide_no_nan(weights, total)
    infinite = tf.constant(float("inf"), tf.float64)
    variances = tf.where(usable, square / tf.where(usable, curvature, one) ** 2, infinite)
    variance = tf.reduce_sum(weights * applied(second, weights), axis=1)
    return LeastVariance(weights, tf.where(total[:, 0] > 0, variance, infinite), variances)
