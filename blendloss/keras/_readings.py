"""The metrics that carry a blend's readings into Keras's logs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class MeanOfEvaluated(keras.metrics.Mean):
    """The mean of a loss over the examples that it was evaluated on; NaN if there are none."""

    def update_state(self, value: tf.Tensor, count: tf.Tensor) -> None:
        # A value that does not count may be NaN, and 0 times NaN is NaN.
        value = tf.where(count > 0, value, tf.zeros_like(value))
        super().update_state(value, sample_weight=tf.cast(count, value.dtype))

    def result(self) -> Any:
        # Never evaluated is not 0.
        none = tf.convert_to_tensor(self.count) == 0
        mean = tf.convert_to_tensor(super().result())
        return tf.where(none, tf.constant(float("nan"), mean.dtype), mean)


class Latest(keras.metrics.Mean):
    """The value of the latest step. A mean of one, so that it also reads right where replicas are summed."""

    def update_state(self, value: tf.Tensor) -> None:
        self.total.assign(tf.cast(value, self.total.dtype))
        self.count.assign(tf.ones_like(tf.convert_to_tensor(self.count)))
