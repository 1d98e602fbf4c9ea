"""Quantities that the solvers compute from a Gram matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

#: The length of sum_k c_k g_k counts as 0 below this times sum_k |c_k| |g_k|. The rounding of the Gram matrix, about
#: 1e-8, and the angle that the active set resolves, 3e-7, allow no smaller bound.
STATIONARY = 1e-6


def solved(gram: Any, solve: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """`solve(gram)` in float64; NaN if an element of `gram` `[K, K]` is not finite."""
    gram = tf.cast(tf.convert_to_tensor(gram), tf.float64)
    finite = tf.reduce_all(tf.math.is_finite(gram))
    coefficients = solve(tf.where(finite, gram, tf.eye(size(gram), dtype=tf.float64)))
    return tf.where(finite, coefficients, tf.constant(float("nan"), tf.float64))


def size(gram: tf.Tensor) -> int:
    """K, the number of gradients."""
    return int(gram.shape[-1])


def norms(gram: tf.Tensor) -> tf.Tensor:
    """The lengths |g_k|, `[K]`."""
    return tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0.0))


def cosines(gram: tf.Tensor) -> tf.Tensor:
    """The gradients' cosines, `[K, K]`, with a diagonal of ones. A zero gradient is orthogonal to all others."""
    lengths = norms(gram)
    apart = tf.math.divide_no_nan(tf.math.divide_no_nan(gram, lengths[:, None]), lengths[None, :])
    return tf.linalg.set_diag(apart, tf.ones_like(lengths))


def applied(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """A x, `[..., K]`, for A `[..., K, K]` and x `[..., K]`."""
    # Not `matmul`: a GPU may round its factors.
    return tf.reduce_sum(matrix * vector[..., None, :], axis=-1)


def length(gram: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """The length |sum_k c_k g_k|, a scalar."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(coefficients * applied(gram, coefficients)), 0.0))


def vanishes(gram: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """Whether sum_k c_k g_k is 0 to the rounding of the Gram matrix, a bool scalar."""
    reach = tf.reduce_sum(tf.abs(coefficients) * norms(gram))
    return length(gram, coefficients) <= STATIONARY * reach
