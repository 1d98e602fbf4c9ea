"""Conditions that are only known when the graph runs."""

from __future__ import annotations

import tensorflow as tf


def require(condition: tf.Tensor, rule: str, value: tf.Tensor) -> tf.Tensor:
    """`value` if `condition` holds.

    Otherwise, eager and graph execution raise `tf.errors.InvalidArgumentError` with the rule and the value. A compiled
    XLA program cannot raise: there the value becomes NaN, and so does the loss.
    """
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(condition), [rule, "Received:", value])]):
        return tf.where(condition, value, tf.constant(float("nan"), value.dtype))
