"""Linear equations with a symmetric positive definite matrix, in a loop that cannot fail."""

from __future__ import annotations

import tensorflow as tf

_LEAST = 2.0**-48


def solution(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """x with A x = b, `[K]`, by Gauss-Jordan elimination on the diagonal, in units in which A's diagonal is 1.

    Elimination without row exchanges is stable for a positive definite matrix. A pivot below 2^-48 is rounding error
    and is replaced by 2^-48. TensorFlow's factorizations raise an error there, and XLA's invert whole blocks.

    Args:
        matrix: A, `[K, K]`, float64, with a positive diagonal.
        vector: b, `[K]`, float64.
    """
    k = int(vector.shape[0])
    units = tf.sqrt(tf.linalg.diag_part(matrix))
    table = tf.concat([matrix / units[:, None] / units[None, :], (vector / units)[:, None]], axis=1)

    def step(i: tf.Tensor, table: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        row = table[i]
        pivot = tf.maximum(row[i], _LEAST)
        row = row / pivot
        is_row = tf.equal(tf.range(k), i)[:, None]
        column = table[:, i]
        return i + 1, tf.where(is_row, row[None, :], table - column[:, None] * row[None, :])

    table = tf.while_loop(lambda i, _: i < k, step, (tf.constant(0), table))[1]
    return table[:, k] / units
