"""Eigenvalues and eigenvectors of a small symmetric matrix."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_EPSILON = 2.0**-52
_SWEEPS = 16
#: An eigenvalue of a matrix of products below K times this of the largest is rounding of factors in float32.
ROUNDING = 2.0**-46


# Eager calls run it as a graph, too: a loop of small operations is ten times faster so.
@tf.function(autograph=False)
def eigen(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The eigenvalues `[K]`, in no order, and the eigenvectors in columns `[K, K]`, of a symmetric matrix, float64.

    Jacobi's method: A <- J' A J, where J rotates K/2 disjoint pairs at once so that their elements become 0; K - 1 such
    rounds meet every pair. It stops when no element off the diagonal is above 2^-52 times the largest element (6 to 9
    sweeps are usual at K = 40), after 16 sweeps at the most. `tf.linalg.eigh` is not this accurate under XLA: its
    vectors leave elements of 1e-6 off the diagonal.

    Args:
        matrix: A, `[K, K]`, float64, finite.
    """
    k = int(matrix.shape[0])
    n = k + k % 2  # an odd one out is paired with a row of zeros
    padded = tf.pad(matrix, [[0, n - k], [0, n - k]])
    partners = tf.constant(_round_robin(n))
    largest = tf.reduce_max(tf.abs(matrix))
    places = tf.range(n)

    def going(i: tf.Tensor, a: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        off = tf.reduce_max(tf.abs(tf.linalg.set_diag(a, tf.zeros_like(a[0]))))
        return (i < _SWEEPS * (n - 1)) & (off > _EPSILON * largest)

    def step(i: tf.Tensor, a: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        partner = partners[i % (n - 1)]
        swap = tf.one_hot(partner, n, dtype=tf.float64)
        own = tf.linalg.diag_part(a)
        off = tf.reduce_sum(a * swap, axis=1)
        other = tf.reduce_sum(swap * own[None, :], axis=1)
        still = off == 0
        ratio = (other - own) / tf.where(still, tf.ones_like(off), 2 * off)
        # Of a pair with equal diagonals one turns one way, the other the other.
        sign = tf.where(ratio == 0, tf.where(places < partner, 1.0, -1.0), tf.cast(tf.sign(ratio), tf.float32))
        tangent = tf.cast(sign, tf.float64) / (tf.abs(ratio) + tf.sqrt(1 + ratio**2))
        tangent = tf.where(still, tf.zeros_like(tangent), tangent)
        cosine = 1 / tf.sqrt(1 + tangent**2)
        turned = _turned(a, cosine, tangent, partner)
        turned = _turned(tf.transpose(turned), cosine, tangent, partner)
        turned = tf.where(swap > 0, tf.zeros_like(turned), (turned + tf.transpose(turned)) / 2)
        return i + 1, turned, _turned(v, cosine, tangent, partner)

    start = (tf.constant(0), padded, tf.eye(n, dtype=tf.float64))
    _, a, v = tf.while_loop(going, step, start)
    return tf.linalg.diag_part(a)[:k], v[:k, :k]


def _turned(a: tf.Tensor, cosine: tf.Tensor, tangent: tf.Tensor, partner: tf.Tensor) -> tf.Tensor:
    """A J: column i is c_i (a_i - t_i a_partner), as t of a pair's two have opposite signs."""
    return cosine[None, :] * (a - tangent[None, :] * tf.gather(a, partner, axis=1))


def _round_robin(n: int) -> np.ndarray:
    """`[n - 1, n]`: in round i, with whom each of n is paired; every two meet once."""
    rounds = []
    circle = list(range(1, n))
    for _ in range(n - 1):
        line = [0, *circle]
        partner = [0] * n
        for first, second in zip(line[: n // 2], reversed(line[n // 2 :]), strict=True):
            partner[first], partner[second] = second, first
        rounds.append(partner)
        circle = circle[-1:] + circle[:-1]
    return np.array(rounds, np.int32)


def pseudo_inverse_applied(matrix: tf.Tensor, vector: tf.Tensor, tolerance: float) -> tf.Tensor:
    """A^+ b of a positive semidefinite matrix, `[K]`: eigenvalues up to `tolerance` times the largest count as 0."""
    values, vectors = eigen(matrix)
    kept = values > tolerance * tf.reduce_max(values)
    along = tf.reduce_sum(vectors * vector[:, None], axis=0)
    along = tf.where(kept, along / tf.where(kept, values, tf.ones_like(values)), tf.zeros_like(along))
    return tf.reduce_sum(vectors * along[None, :], axis=1)
