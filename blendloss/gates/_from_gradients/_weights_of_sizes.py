"""Weights from the sizes of the losses' gradients or kernels, and how they are smoothed over training."""

from __future__ import annotations

import tensorflow as tf

# jaxpi's, next to the mean size, so that no weight is above 1e5.
_LEAST = 1e-5


def over_sizes(total: tf.Tensor, sizes: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """`total` / `sizes`, `[K]`; `kept` where a size is 0; NaN where one is infinite, which 1 / inf = 0 would hide."""
    sizes = tf.where(tf.math.is_inf(sizes), tf.constant(float("nan"), sizes.dtype), sizes)
    return tf.where(sizes == 0, kept, total / tf.where(sizes == 0, tf.ones_like(sizes), sizes))


def sum_over_sizes(sizes: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """sum_j s_j / s_k for the sizes s, `[K]`; `kept` where a size is 0."""
    return over_sizes(tf.reduce_sum(sizes), sizes, kept)


def mean_over_sizes(sizes: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """m / (s_k + 1e-5 m), m the mean of the sizes s, `[K]`; `kept` where all sizes are 0."""
    mean = tf.reduce_mean(sizes)
    return over_sizes(mean, sizes + _LEAST * mean, kept)


def smoothed(old: tf.Tensor, new: tf.Tensor, momentum: float) -> tf.Tensor:
    """momentum * old + (1 - momentum) * new."""
    return momentum * old + (1 - momentum) * new
