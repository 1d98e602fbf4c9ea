"""Quadratic programs over the non-negative vectors."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from blendloss._solvers._gram import applied

_EPSILON = 2.0**-52
#: The least squared distance of a unit column from the span of the chosen ones: an angle of 3e-7.
_APART = 1e-13
#: Rounding of a sum of K products, in units of 2^-52 times the sum of the sizes.
_SLACK = 16.0


class Minimum(NamedTuple):
    """Where z'Qz/2 - q'z is least over z >= 0.

    Args:
        z: `[B, K]`.
        inverse: the inverse of Q among the `chosen`, 0 elsewhere, `[B, K, K]`.
        chosen: where z may be positive, `[B, K]` bool.
        iterations: scalar, of the slowest of the B problems.
    """

    z: tf.Tensor
    inverse: tf.Tensor
    chosen: tf.Tensor
    iterations: tf.Tensor


# Eager calls run it as a graph, too: a loop of small operations is ten times faster so.
@tf.function(autograph=False)
def minimum(q_matrix: tf.Tensor, q: tf.Tensor) -> Minimum:
    """The least z'Qz/2 - q'z over z >= 0, for B problems at once, by an active set (Lawson and Hanson's).

    Q is positive semidefinite with a diagonal of ones. From z = 0: the index with the largest slope w = q - Qz joins
    the chosen ones, and z moves to their unconstrained minimum; where this would make an element negative, it stops
    there, that index leaves, and z moves on. The inverse of the chosen part of Q follows by rank-one updates, and each
    minimum is refined twice, so that nothing is factorised and nothing can fail.

    It stops, after finitely many steps, when no index outside has w_j > 16 * 2^-52 (|Q| |z| + |q|)_j: the conditions
    of optimality hold to rounding. An index whose column lies within an angle of 3e-7 of the span of the chosen ones
    does not join, for the Gram matrix does not say more in float64: there w_j <= 3e-7 of the residual's length remains.
    Each of these steps is one iteration, and 20 K are the bound: z is feasible at all times. Of several minimisers it
    is one with the fewest chosen.

    Args:
        q_matrix: Q, `[B, K, K]`, float64, finite.
        q: `[B, K]`.
    """
    sizes = tf.abs(q_matrix)
    batch, k = int(q.shape[0]), int(q.shape[1])
    zeros, none = tf.zeros_like(q), tf.zeros([batch, k], tf.bool)

    def going(iteration: tf.Tensor, done: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return (iteration < 20 * k) & ~tf.reduce_all(done)

    def step(
        iteration: tf.Tensor,
        done: tf.Tensor,
        settled: tf.Tensor,
        leaving: tf.Tensor,
        z: tf.Tensor,
        inverse: tf.Tensor,
        chosen: tf.Tensor,
        barred: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        slope = q - applied(q_matrix, z)
        slack = _SLACK * _EPSILON * (applied(sizes, z) + tf.abs(q))
        open_ = ~chosen & ~barred & (slope > slack)
        done = done | (settled & ~tf.reduce_any(open_, axis=1))
        joining = tf.argmax(tf.where(open_, slope, -tf.ones_like(slope)), axis=1, output_type=tf.int32)
        joins = settled[:, None]
        place = tf.where(settled, joining, leaving)
        is_place = tf.equal(tf.range(k)[None, :], place[:, None])
        unit = tf.cast(is_place, tf.float64)

        column = applied(q_matrix, unit)
        projected = applied(inverse, column)
        distance = tf.reduce_sum(unit * column, 1, True) - tf.reduce_sum(projected * column, 1, True)
        of_place = applied(inverse, unit)
        pivot = tf.where(joins, distance, -tf.reduce_sum(unit * of_place, 1, True))
        near = joins & (distance < _APART)
        change = tf.where(joins, projected - unit, of_place) / tf.where(near, tf.ones_like(pivot), pivot)
        update = change[:, :, None] * (change * pivot)[:, None, :]
        after = tf.where(joins, chosen | is_place, chosen & ~is_place)
        both = after[:, :, None] & after[:, None, :]
        moved = tf.where(both, inverse + update, tf.zeros_like(inverse))

        target = applied(moved, q)
        for _ in range(2):
            missing = tf.where(after, q - applied(q_matrix, target), zeros)
            target = target + applied(moved, missing)
        # Rounding alone makes a joining index leave at once, and would do so for ever.
        refused = near | (joins & (tf.reduce_sum(unit * target, 1, True) <= 0))
        negative = after & (target <= 0)
        fraction = tf.where(negative, z / tf.where(negative, z - target, tf.ones_like(z)), tf.ones_like(z))
        first = tf.argmin(fraction, axis=1, output_type=tf.int32)
        share = tf.reduce_min(fraction, axis=1, keepdims=True)
        arrives = ~tf.reduce_any(negative, axis=1)
        stops = ~arrives[:, None] & tf.equal(tf.range(k)[None, :], first[:, None])
        between = tf.where(after & ~stops, z + share * (target - z), zeros)
        moved_to = tf.where(arrives[:, None], tf.where(after, target, zeros), between)

        keep = done[:, None] | refused
        return (
            iteration + 1,
            done,
            tf.where(keep[:, 0], settled, arrives),
            tf.where(keep[:, 0], leaving, first),
            tf.where(keep, z, moved_to),
            tf.where(keep[:, :, None], inverse, moved),
            tf.where(keep, chosen, after),
            tf.where(done[:, None], barred, tf.where(refused, barred | is_place, none)),
        )

    start = (
        tf.constant(0),
        tf.zeros([batch], tf.bool),
        tf.ones([batch], tf.bool),
        tf.zeros([batch], tf.int32),
        zeros,
        tf.zeros_like(q_matrix),
        none,
        none,
    )
    iterations, _, _, _, z, inverse, chosen, _ = tf.while_loop(going, step, start)
    return Minimum(z, inverse, chosen, iterations)
