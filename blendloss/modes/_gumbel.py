"""Gumbel noise, stateless, with the same bits in every regime.

TensorFlow's stateless generators are not that: with a seed that changes from step to step, its Philox gives other
numbers under XLA than outside it. A counter hashed by SplitMix64 needs only 64-bit integer arithmetic.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss import _checks

_GOLDEN = 0x9E3779B97F4A7C15


def checked_seed(seed: Any) -> int:
    """`seed`, which must be an integer of 64 bits, signed or not."""
    seed = _checks.integer("seed", seed)
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"`seed` must fit in 64 bits. Received: seed={seed!r}")
    return seed


def gumbel(logits: tf.Tensor, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel noise of the shape of `logits`, a function of seed, step and place alone."""
    size = tf.size(logits, out_type=tf.int64)
    key = _mixed(tf.constant(seed % 2**64, tf.uint64), tf.cast(step, tf.uint64))
    bits = _mixed(key, tf.cast(tf.range(size), tf.uint64))
    dtype, precision = (tf.float64, 52) if logits.dtype == tf.float64 else (tf.float32, 23)
    integer = tf.cast(tf.bitwise.right_shift(bits, tf.constant(64 - precision, tf.uint64)), dtype)
    uniform = (integer + 0.5) * 2.0**-precision  # in the open interval (0, 1), exactly representable
    return tf.cast(tf.reshape(-tf.math.log(-tf.math.log(uniform)), tf.shape(logits)), logits.dtype)


def _mixed(key: tf.Tensor, counter: tf.Tensor) -> tf.Tensor:
    """SplitMix64's output number `counter` for the state `key` (Steele, Lea and Flood, OOPSLA 2014, figure 17)."""
    bits = key + (counter + 1) * tf.constant(_GOLDEN, tf.uint64)
    bits = _xor_shifted(bits, 30) * tf.constant(0xBF58476D1CE4E5B9, tf.uint64)
    bits = _xor_shifted(bits, 27) * tf.constant(0x94D049BB133111EB, tf.uint64)
    return _xor_shifted(bits, 31)


def _xor_shifted(bits: tf.Tensor, shift: int) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint64)))
