"""Common parts of the relaxations, functions from logits to the simplex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.loss_axis import largest, total
from blendloss._internal.signatures import takes

#: A function from logits `[..., K]` to the simplex that does not change when a constant is added to the logits.
Relaxation = Callable[[tf.Tensor], tf.Tensor]


def relax_in_float32(name: str, logits: Any, relaxation: Relaxation) -> tf.Tensor:
    """Computes `relaxation(logits)` in at least float32, and rounds it to the dtype of `logits`."""
    logits = conversion.floating(name, logits, axes="[..., K]")
    if logits.dtype.size < 4:
        return tf.cast(relaxation(tf.cast(logits, tf.float32)), logits.dtype)
    return relaxation(logits)


def validate_relaxation(relaxation: Any) -> Relaxation:
    """Checks that `relaxation` is a function of one argument."""
    if not takes(relaxation, 1) or isinstance(relaxation, keras.optimizers.schedules.LearningRateSchedule):
        raise TypeError(
            "`relaxation` must be a function from logits to the simplex, such as `blendloss.modes.softmax`. "
            f"Received: relaxation={relaxation!r}"
        )
    return relaxation


def propagate_nan(weights: tf.Tensor, shifted: tf.Tensor) -> tf.Tensor:
    """`weights`, or NaN if `shifted` = z - max z has a NaN, which a comparison would turn into a weight of 0."""
    broken = tf.math.is_nan(total(shifted))  # no term is above 0
    return tf.where(broken, tf.constant(float("nan"), weights.dtype), weights)


def temper(logits: tf.Tensor, temperature: tf.Tensor | float) -> tf.Tensor:
    """(z - max z) / tau. The shift keeps the maximum finite as tau -> 0; -inf stays -inf as tau -> inf."""
    shifted = logits - largest(logits)
    excluded = tf.math.is_inf(logits)
    if tf.is_tensor(temperature):  # a float needs no cast, which would round it to float32 first
        temperature = tf.cast(temperature, logits.dtype)
    scaled = tf.where(excluded, tf.zeros_like(shifted), shifted) / temperature
    return tf.where(excluded, logits, scaled)
