"""Keras's own log of the loss, for training steps that are not Keras's."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss.keras._trainable import Trainable


def log_loss(model: Trainable, loss: tf.Tensor, x: Any) -> None:
    """Counts the loss as Keras's own step does: each replica has its share of the mean."""
    loss = loss * tf.distribute.get_strategy().num_replicas_in_sync
    number = tf.shape(next(part for part in tf.nest.flatten(x) if part is not None))[0]
    # The metrics of `keras.Model`: a subclass may override `metrics`, and hold a "loss" of its own there.
    tracker = next(metric for metric in keras.Model.metrics.fget(model) if metric.name == "loss")
    tracker.update_state(loss, sample_weight=number)
