"""The point of least norm in the convex hull of the gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._solvers.gram import solved
from blendloss._solvers.nonnegative import minimum


class Hull(NamedTuple):
    """The point of least norm in the hull, and what the derivative of its coefficients needs.

    Args:
        coefficients: a, on the simplex, `[K]`.
        inverse: (M + s 11')^-1 among the `chosen`, 0 elsewhere, `[K, K]`; all 0 if a gradient is 0.
        mass: 1 / (1 + a'Ma / s), a scalar.
        chosen: where a may be positive, `[K]` bool.
        iterations: the number of iterations of the active set, a scalar.
    """

    coefficients: tf.Tensor
    inverse: tf.Tensor
    mass: tf.Tensor
    chosen: tf.Tensor
    iterations: tf.Tensor


def min_norm(gram: Any) -> tf.Tensor:
    """The a on the simplex that minimizes |sum_k a_k g_k|^2 = a'Ma, `[K]`, float64.

    For any s > 0, the y >= 0 that minimizes y'My + s (1 - 1'y)^2 is a / (1 + a'Ma / s), so a is y divided by its sum.
    This is a quadratic program over the non-negative vectors, with (M + s 11') y = s 1 where y > 0. An active set
    solves it in the units sqrt(M_kk + s), where s is the least M_kk, so that the lengths of the gradients do not
    matter.

    Then (Ma)_k >= a'Ma for every k, with equality where a_k > 0: the point decreases every loss. The active set stops
    when this holds to rounding (see `nonnegative.minimum`). Gradients within an angle of 3e-7 of the span of others
    count as part of it. If several a are solutions, the result is one with few positive elements. If gradients are 0, a
    is equal for each of them, and 0 for the others.

    Args:
        gram: M = G G', the inner products of the K gradients, `[K, K]`.
    """
    return solved(gram, lambda gram: hull(gram).coefficients)


def hull(gram: tf.Tensor) -> Hull:
    """`min_norm` for a finite float64 matrix, with what `conflict_averse` needs."""
    squares = tf.linalg.diag_part(gram)
    least = tf.reduce_min(squares)
    zero = squares <= 0
    touches = tf.reduce_any(zero)
    squares = tf.where(zero, tf.ones_like(squares), squares)
    offset = tf.where(touches, tf.ones_like(least), least)
    units = tf.sqrt(squares + offset)
    shares = tf.sqrt(offset) / units
    scaled = gram / units[:, None] / units[None, :] + shares[:, None] * shares[None, :]
    scaled = tf.linalg.set_diag(scaled, tf.ones_like(shares))
    found = minimum(scaled[None], shares[None])
    # y = z sqrt(s) / units. The factor sqrt(s) keeps y near 1 for gradients of any scale.
    y = found.z[0] * shares
    mass = tf.reduce_sum(y)
    at_zero = tf.cast(zero, tf.float64) / tf.maximum(tf.reduce_sum(tf.cast(zero, tf.float64)), 1.0)
    inverse = found.inverse[0] / units[:, None] / units[None, :]
    return Hull(
        tf.where(touches, at_zero, y / mass),
        tf.where(touches, tf.zeros_like(inverse), inverse),
        mass,
        tf.where(touches, zero, found.chosen[0]),
        found.iterations,
    )
