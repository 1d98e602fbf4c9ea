"""Noise that is a function of seed, step and place, with the same bits in every regime.

The place of an example is its index in the batch of all replicas, so that replicas together draw what one device would.

TensorFlow's stateless generators do not have this property: if the seed changes from step to step, Philox returns
different numbers under XLA. A counter hashed by SplitMix64 needs only 64-bit integer arithmetic.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.replicas import first_row_of_replica

_GOLDEN = 0x9E3779B97F4A7C15

#: Streams of noise. Each has its own places, so that a gate and a mode with the same seed do not share their noise.
GUMBEL, POSTERIOR, ROWS, BANDIT, RESERVOIR, LOOK_BACK, WEIGHTS, LAW, PROBES, DROPS, ORDERS = range(11)


def checked_seed(seed: Any) -> int:
    """Checks that `seed` is an integer of 64 bits, signed or unsigned."""
    return checks.integer("seed", seed, maximum=2**64 - 1)


def uniform(
    shape: Any, seed: int, step: tf.Tensor, dtype: Any = tf.float32, stream: int = GUMBEL, first: Any = 0
) -> tf.Tensor:
    """Numbers in the open interval (0, 1): odd multiples of 2^-24 in float32, of 2^-53 in float64.

    Args:
        shape: the shape of the result, a list or a tensor.
        seed: an integer of 64 bits.
        step: the training step, an integer scalar.
        dtype: float32 or float64.
        stream: the stream of noise, such as `GUMBEL`.
        first: the place of the first number, int64.
    """
    dtype = tf.as_dtype(dtype)
    size = tf.reduce_prod(tf.cast(shape, tf.int64))
    key = mixed(tf.constant(seed % 2**64, tf.uint64), tf.cast(step, tf.uint64))
    place = tf.cast(first + tf.range(size), tf.uint64) + tf.constant(stream << 40, tf.uint64)
    bits = mixed(key, place)
    precision = 52 if dtype == tf.float64 else 23
    integer = tf.cast(tf.bitwise.right_shift(bits, tf.constant(64 - precision, tf.uint64)), dtype)
    return tf.reshape((integer + 0.5) * 2.0**-precision, shape)


def by_example(shape: Any, seed: int, step: tf.Tensor, dtype: Any = tf.float32, stream: int = GUMBEL) -> tf.Tensor:
    """Like `uniform`, for a `shape` whose first axis is this replica's part of the batch."""
    shape = tf.cast(shape, tf.int64)
    first = first_row_of_replica(shape[0]) * tf.reduce_prod(shape[1:])
    return uniform(shape, seed, step, dtype, stream, first)


def gumbel(logits: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel noise in the shape and dtype of `logits`: `[K]`, or by example `[batch, ..., K]`."""
    dtype = tf.float64 if logits.dtype == tf.float64 else tf.float32
    draw = uniform if logits.shape.rank == 1 else by_example
    drawn = draw(tf.shape(logits), seed, step, dtype)
    return tf.cast(-tf.math.log(-tf.math.log(drawn)), logits.dtype)


def mixed(key: tf.Tensor, counter: tf.Tensor) -> tf.Tensor:
    """SplitMix64's output number `counter` for the state `key` (Steele, Lea and Flood, OOPSLA 2014, figure 17)."""
    bits = key + (counter + 1) * tf.constant(_GOLDEN, tf.uint64)
    bits = _xor_shifted(bits, 30) * tf.constant(0xBF58476D1CE4E5B9, tf.uint64)
    bits = _xor_shifted(bits, 27) * tf.constant(0x94D049BB133111EB, tf.uint64)
    return _xor_shifted(bits, 31)


def _xor_shifted(bits: tf.Tensor, shift: int) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint64)))
