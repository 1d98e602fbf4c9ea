"""Which rows make the batch of a step: a function of seed and step alone."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss._internal.random import ROWS, mixed

_ROUNDS = 6


def rows_of_step(step: tf.Tensor, size: int, number: int, seed: int) -> tf.Tensor:
    """The rows of a step's batch: turn after turn through all rows, each turn in a pseudo-random order of its own.

    Args:
        step: int64 scalar.
        size: rows of a batch.
        number: rows there are.
        seed: an integer of 64 bits.

    Returns:
        `[size]`, int64, in [0, number). Steps 0, 1, 2, ... together take every row once in each turn.
    """
    place = step * size + tf.range(size, dtype=tf.int64)
    return _permuted(place % number, place // number, number, seed)


def _permuted(place: tf.Tensor, turn: tf.Tensor, number: int, seed: int) -> tf.Tensor:
    """A permutation of [0, number) for each `turn`, at `place`.

    A Feistel network on Z_a x Z_b, a b >= number, is one of [0, a b); walking its cycles until inside keeps to
    [0, number) (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). No table, no sorting.
    """
    a = math.isqrt(number - 1) + 1 if number > 1 else 1
    b = -(-number // a)
    key = mixed(tf.constant(seed % 2**64, tf.uint64), tf.cast(turn, tf.uint64))

    def hashed(value: tf.Tensor, rounds: int) -> tf.Tensor:
        counter = tf.cast(value, tf.uint64) + tf.constant((ROWS << 40) + (rounds << 48), tf.uint64)
        return tf.cast(tf.bitwise.right_shift(mixed(key, counter), tf.constant(1, tf.uint64)), tf.int64)

    def once(value: tf.Tensor) -> tf.Tensor:
        left, right = value // b, value % b
        for rounds in range(0, _ROUNDS, 2):
            left = (left + hashed(right, rounds) % a) % a
            right = (right + hashed(left, rounds + 1) % b) % b
        return left * b + right

    def again(value: tf.Tensor) -> tuple[tf.Tensor]:
        return (tf.where(value < number, value, once(value)),)

    return tf.while_loop(lambda value: tf.reduce_any(value >= number), again, (once(place),))[0]
