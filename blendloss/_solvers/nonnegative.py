"""Quadratic programs over the non-negative vectors."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from blendloss._solvers.gram import applied

_EPSILON = 2.0**-52
#: The least squared distance of a unit column from the span of the chosen columns: an angle of 3e-7.
_APART = 1e-13
#: Rounding of a sum of K products, in units of 2^-52 times the sum of the sizes.
_SLACK = 16.0


class Minimum(NamedTuple):
    """The minimum of z'Qz/2 - q'z over z >= 0.

    Args:
        z: the minimizer, `[B, K]`.
        inverse: the inverse of Q among the `chosen`, 0 elsewhere, `[B, K, K]`.
        chosen: where z may be positive, `[B, K]` bool.
        iterations: the number of iterations of the slowest of the B problems, a scalar.
    """

    z: tf.Tensor
    inverse: tf.Tensor
    chosen: tf.Tensor
    iterations: tf.Tensor


# Eager calls run this as a graph, too: a loop of small operations is then ten times faster.
@tf.function(autograph=False)
def minimum(q_matrix: tf.Tensor, q: tf.Tensor) -> Minimum:
    """The minimum of z'Qz/2 - q'z over z >= 0, for B problems at once, by Lawson and Hanson's active set.

    Q is positive semidefinite with a diagonal of ones. The search starts at z = 0. The index with the largest slope w =
    q - Qz joins the chosen ones, and z moves to their unconstrained minimum. If an element would become negative, z
    stops where it is 0, that index leaves, and z moves on. The inverse of the chosen part of Q is kept by rank-one
    updates, and each minimum is refined twice. Nothing is factorized, so nothing can fail.

    The search stops after finitely many steps, when no index outside has w_j > 16 * 2^-52 (|Q| |z| + |q|)_j: the
    conditions of optimality then hold to rounding. An index does not join if its column lies within an angle of 3e-7 of
    the span of the chosen ones, because a float64 Gram matrix resolves no smaller angle. There w_j <= 3e-7 of the
    residual's length remains. Each of these steps is one iteration, with at most 20 K iterations. z is always feasible.
    If there are several minimizers, the result is one with the fewest chosen indices.

    Args:
        q_matrix: Q, `[B, K, K]`, float64, finite.
        q: `[B, K]`, float64, finite.
    """
    batch, k = int(q.shape[0]), int(q.shape[1])

    def going(search: _Search) -> tf.Tensor:
        return (search.iteration < 20 * k) & ~tf.reduce_all(search.done)

    def step(search: _Search) -> tuple[_Search]:
        return (_step(q_matrix, q, search),)

    zeros, none = tf.zeros_like(q), tf.zeros([batch, k], tf.bool)
    nowhere = tf.zeros([batch], tf.int32)
    start = _Search(tf.constant(0), none[:, 0], ~none[:, 0], nowhere, zeros, tf.zeros_like(q_matrix), none, none)
    (found,) = tf.while_loop(going, step, (start,))
    return Minimum(found.z, found.inverse, found.chosen, found.iteration)


class _Search(NamedTuple):
    """The state of the search.

    Args:
        iteration: the number of iterations so far, a scalar.
        done: whether a problem is solved, `[B]` bool.
        settled: whether z is the unconstrained minimum among the chosen, so that an index may join, `[B]` bool.
        leaving: the index that leaves if z is not settled, `[B]`.
        z: the current z, `[B, K]`.
        inverse: the inverse of Q among the `chosen`, 0 elsewhere, `[B, K, K]`.
        chosen: where z may be positive, `[B, K]` bool.
        barred: the indices that may not join before z has moved, `[B, K]` bool.
    """

    iteration: tf.Tensor
    done: tf.Tensor
    settled: tf.Tensor
    leaving: tf.Tensor
    z: tf.Tensor
    inverse: tf.Tensor
    chosen: tf.Tensor
    barred: tf.Tensor


def _step(q_matrix: tf.Tensor, q: tf.Tensor, search: _Search) -> _Search:
    slope = q - applied(q_matrix, search.z)
    slack = _SLACK * _EPSILON * (applied(tf.abs(q_matrix), search.z) + tf.abs(q))
    open_ = ~search.chosen & ~search.barred & (slope > slack)
    done = search.done | (search.settled & ~tf.reduce_any(open_, axis=1))
    joining = tf.argmax(tf.where(open_, slope, -tf.ones_like(slope)), axis=1, output_type=tf.int32)
    joins = search.settled[:, None]
    place = _at(tf.where(search.settled, joining, search.leaving), slope)
    unit = tf.cast(place, tf.float64)

    pivoted, near = _pivot(q_matrix, search.inverse, unit, joins)
    chosen = tf.where(joins, search.chosen | place, search.chosen & ~place)
    both = chosen[:, :, None] & chosen[:, None, :]
    inverse = tf.where(both, pivoted, tf.zeros_like(pivoted))
    target = _refine(q_matrix, q, inverse, chosen)
    # Because of rounding, a joining index can leave at once, and would do so forever.
    refused = near | (joins & (tf.reduce_sum(unit * target, 1, True) <= 0))
    z, arrives, leaving = _move(search.z, target, chosen)

    keep = done[:, None] | refused
    barred = tf.where(refused, search.barred | place, tf.zeros_like(place))
    return _Search(
        search.iteration + 1,
        done,
        tf.where(keep[:, 0], search.settled, arrives),
        tf.where(keep[:, 0], search.leaving, leaving),
        tf.where(keep, search.z, z),
        tf.where(keep[:, :, None], search.inverse, inverse),
        tf.where(keep, search.chosen, chosen),
        tf.where(done[:, None], search.barred, barred),
    )


def _at(index: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """The one-hot mask of an `index` `[B]`, `[B, K]` bool."""
    return tf.equal(tf.range(like.shape[1])[None, :], index[:, None])


def _pivot(q_matrix: tf.Tensor, inverse: tf.Tensor, unit: tf.Tensor, joins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds the index of `unit` to `inverse`, or removes it, by rank one; and whether it is too near to be added."""
    column = applied(q_matrix, unit)
    projected = applied(inverse, column)
    distance = tf.reduce_sum(unit * column, 1, True) - tf.reduce_sum(projected * column, 1, True)
    of_place = applied(inverse, unit)
    pivot = tf.where(joins, distance, -tf.reduce_sum(unit * of_place, 1, True))
    near = joins & (distance < _APART)
    change = tf.where(joins, projected - unit, of_place) / tf.where(near, tf.ones_like(pivot), pivot)
    return inverse + change[:, :, None] * (change * pivot)[:, None, :], near


def _refine(q_matrix: tf.Tensor, q: tf.Tensor, inverse: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """The unconstrained minimum among the `chosen`, refined twice, `[B, K]`."""
    target = applied(inverse, q)
    for _ in range(2):
        missing = tf.where(chosen, q - applied(q_matrix, target), tf.zeros_like(q))
        target = target + applied(inverse, missing)
    return target


def _move(z: tf.Tensor, target: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Moves z towards `target` until a `chosen` element is 0: z, whether it arrived, and that element's index."""
    negative = chosen & (target <= 0)
    fraction = tf.where(negative, z / tf.where(negative, z - target, tf.ones_like(z)), tf.ones_like(z))
    first = tf.argmin(fraction, axis=1, output_type=tf.int32)
    share = tf.reduce_min(fraction, axis=1, keepdims=True)
    arrives = ~tf.reduce_any(negative, axis=1)
    stops = ~arrives[:, None] & _at(first, z)
    between = tf.where(chosen & ~stops, z + share * (target - z), tf.zeros_like(z))
    whole = tf.where(chosen, target, tf.zeros_like(z))
    return tf.where(arrives[:, None], whole, between), arrives, first
