"""Replicas that scale the loss must agree on whether a step overflows.

Keras 3.15's `LossScaleOptimizer` looks at the gradients of a worker's first replica alone, before they are summed. If
those of another overflow, the weights become infinite. Several workers take different branches, one of which has
collectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal.replicas import is_replicated, sum_over_replicas


def agree_on_finite(optimizer: Any, gradients: Sequence[Any]) -> list[Any]:
    """`gradients`, of which one is NaN on every replica if any of them is not finite on one, under a scaled loss."""
    found = list(gradients)
    place = next((i for i, gradient in enumerate(found) if gradient is not None), None)
    if place is None or not isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or not is_replicated():
        return found
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(_values(one))) for one in found if one is not None])
    overflows = sum_over_replicas(tf.cast(~finite, tf.float32)) > 0
    found[place] = _with_nan(found[place], overflows)
    return found


def _values(gradient: Any) -> tf.Tensor:
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def _with_nan(gradient: Any, where: tf.Tensor) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_with_nan(gradient.values, where), gradient.indices, gradient.dense_shape)
    return tf.where(where, tf.constant(float("nan"), gradient.dtype), gradient)
