"""Gumbel noise, stateless."""

from __future__ import annotations

import tensorflow as tf


def gumbel(logits: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel noise of the shape of `logits`: the same for the same seed and step, in every regime."""
    dtype = tf.float64 if logits.dtype == tf.float64 else tf.float32
    uniform = tf.random.stateless_uniform(
        tf.shape(logits),
        seed=tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)]),
        minval=dtype.as_numpy_dtype(1e-37),  # the open interval: log of 0 is no sample
        maxval=1,
        dtype=dtype,
        alg="philox",  # the default may differ between devices and compilers
    )
    return tf.cast(-tf.math.log(-tf.math.log(uniform)), logits.dtype)
