"""The training step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def as_step(step: Any) -> tf.Tensor:
    """`step`, an integer, a scalar tensor or a variable, as an int64 tensor."""
    if isinstance(step, int):
        return tf.constant(step, tf.int64)  # TensorFlow itself would make an int32 of it
    return tf.cast(tf.convert_to_tensor(step), tf.int64)
