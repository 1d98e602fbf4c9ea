"""The point of least norm in the convex hull of the gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._solvers.gram import solved
from blendloss._solvers.nonnegative import minimum


class Hull(NamedTuple):
    """The least point of a hull: its coefficients `[K]`, and what their derivative needs.

    Args:
        coefficients: a, on the simplex.
        inverse: (M + s 11')^-1 among the `chosen`, 0 elsewhere; 0 where a gradient is 0.
        mass: 1 / (1 + a'Ma / s).
        chosen: where a may be positive.
        iterations: of the active set.
    """

    coefficients: tf.Tensor
    inverse: tf.Tensor
    mass: tf.Tensor
    chosen: tf.Tensor
    iterations: tf.Tensor


def min_norm(gram: Any) -> tf.Tensor:
    """The a on the simplex for which |sum_k a_k g_k|^2 = a'Ma is least, `[K]`, float64.

    With y >= 0 and any s > 0, y'My + s (1 - 1'y)^2 is least at y = a / (1 + a'Ma / s): a is y, divided by its sum. That
    is a quadratic program over the non-negative vectors, (M + s 11') y = s 1 where y > 0, solved by an active set in
    the units sqrt(M_kk + s), with s the least M_kk: gradients of any lengths count alike.

    Then (Ma)_k >= a'Ma for every k, with equality where a_k > 0: the point itself goes down in every loss. The
    active set stops when this holds to rounding (`_nonnegative.minimum` says what that is); gradients within an angle
    of 3e-7 of the span of others count as lying in it. Of several such a, it is one with few positive elements. With
    zero gradients, a is the same for each of them.

    Args:
        gram: M = G G', `[K, K]`.
    """
    return solved(gram, lambda gram: hull(gram).coefficients)


def hull(gram: tf.Tensor) -> Hull:
    """`min_norm` of a finite float64 matrix, with what `conflict_averse` needs of it."""
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
    # In y = z sqrt(s) / units; the factor sqrt(s) keeps y near 1 whatever the gradients' scale.
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
