"""Reductions over the losses' axis, which is the last and short."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

# XLA's CPU compiler reduces a short last axis number by number. Up to this many losses, K - 1 operations on all
# examples are faster: they are vectorized, and fused into their consumers.
_APART = 4


def total(values: tf.Tensor) -> tf.Tensor:
    """The sum over the last axis, `[..., K]` to `[..., 1]`."""
    return _reduced(tf.reduce_sum, tf.add, values)


def largest(values: tf.Tensor) -> tf.Tensor:
    """The maximum over the last axis, `[..., K]` to `[..., 1]`; a constant for autodiff. A NaN may be lost."""
    return tf.stop_gradient(_reduced(tf.reduce_max, tf.maximum, values))


def _reduced(whole: Callable[..., tf.Tensor], of_two: Callable[..., tf.Tensor], values: tf.Tensor) -> tf.Tensor:
    count = values.shape[-1]
    if count not in range(1, _APART + 1):
        return whole(values, axis=-1, keepdims=True)
    return functools.reduce(of_two, tf.split(values, count, axis=-1))
