"""The training step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks, conversion


def integer_step(step: Any) -> tf.Tensor:
    """`step`, an integer, an integer scalar tensor or a variable, as an int64 scalar tensor."""
    if isinstance(step, int):  # TensorFlow would convert it to int32
        return tf.constant(checks.integer("step", step), tf.int64)
    tensor = conversion.tensor("step", step)
    if not tensor.dtype.is_integer or tensor.shape.rank not in (None, 0):
        raise TypeError(f"`step` must be an integer or an integer scalar. {checks.received('step', step, tensor)}")
    return tf.cast(tensor, tf.int64)
