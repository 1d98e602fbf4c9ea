"""Keras's own log of the loss, for training steps that are not Keras's."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def log_loss(model: Any, loss: tf.Tensor, x: Any) -> None:
    """Counts the loss as Keras's own step does: each replica has its share of the mean."""
    loss = loss * tf.distribute.get_strategy().num_replicas_in_sync
    number = tf.shape(next(part for part in tf.nest.flatten(x) if part is not None))[0]
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss, sample_weight=number)
