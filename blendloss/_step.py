"""The training step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def as_step(step: Any) -> tf.Tensor:
    """`step`, an integer, an integer scalar tensor or a variable, as an int64 tensor."""
    if isinstance(step, int):
        return tf.constant(step, tf.int64)  # TensorFlow itself would make an int32 of it
    tensor = tf.convert_to_tensor(step)
    if not tensor.dtype.is_integer or tensor.shape.rank not in (None, 0):
        raise TypeError(
            f"`step` must be an integer or an integer scalar. Received: {tensor.dtype.name} of shape {tensor.shape}"
        )
    return tf.cast(tensor, tf.int64)
