"""Eigenvalues and eigenvectors of a small symmetric matrix."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_EPSILON = 2.0**-52
_SWEEPS = 16
#: An eigenvalue below K times this times the largest one is the rounding error of products of float32 factors.
ROUNDING = 2.0**-46


# Eager calls run this as a graph, too: a loop of small operations is then ten times faster.
@tf.function(autograph=False)
def eigen(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The eigenvalues `[K]`, unordered, and the eigenvectors in columns `[K, K]`, of a symmetric matrix, float64.

    Jacobi's method: A <- J' A J, where J rotates K/2 disjoint pairs at once so that their elements become 0; K - 1 such
    rounds meet every pair. It stops when no element off the diagonal exceeds 2^-52 times the largest element (6 to 9
    sweeps are usual at K = 40), or after 16 sweeps. `tf.linalg.eigh` is less accurate under XLA: its vectors leave
    elements of 1e-6 off the diagonal.

    Args:
        matrix: A, `[K, K]`, float64, finite.
    """
    k = int(matrix.shape[0])
    n = k + k % 2  # for an odd K, one index is paired with a row of zeros
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
        # In a pair with equal diagonals, the two angles have opposite signs.
        sign = tf.where(ratio == 0, tf.where(places < partner, 1.0, -1.0), tf.cast(tf.sign(ratio), tf.float32))
        tangent = tf.cast(sign, tf.float64) / (tf.abs(ratio) + tf.sqrt(1 + ratio**2))
        tangent = tf.where(still, tf.zeros_like(tangent), tangent)
        cosine = 1 / tf.sqrt(1 + tangent**2)
        turned = _rotate(a, cosine, tangent, partner)
        turned = _rotate(tf.transpose(turned), cosine, tangent, partner)
        turned = tf.where(swap > 0, tf.zeros_like(turned), (turned + tf.transpose(turned)) / 2)
        return i + 1, turned, _rotate(v, cosine, tangent, partner)

    start = (tf.constant(0), padded, tf.eye(n, dtype=tf.float64))
    _, a, v = tf.while_loop(going, step, start)
    return tf.linalg.diag_part(a)[:k], v[:k, :k]


def _rotate(a: tf.Tensor, cosine: tf.Tensor, tangent: tf.Tensor, partner: tf.Tensor) -> tf.Tensor:
    """A J. Column i is c_i (a_i - t_i a_partner); the two t of a pair have opposite signs."""
    return cosine[None, :] * (a - tangent[None, :] * tf.gather(a, partner, axis=1))


def _round_robin(n: int) -> np.ndarray:
    """The partner of each of n indices in each of n - 1 rounds, `[n - 1, n]`. Every two indices meet once."""
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
    """A^+ b, `[K]`, for a positive semidefinite A. Eigenvalues up to `tolerance` times the largest count as 0."""
    values, vectors = eigen(matrix)
    kept = values > tolerance * tf.reduce_max(values)
    along = tf.reduce_sum(vectors * vector[:, None], axis=0)
    along = tf.where(kept, along / tf.where(kept, values, tf.ones_like(values)), tf.zeros_like(along))
    return tf.reduce_sum(vectors * along[None, :], axis=1)
