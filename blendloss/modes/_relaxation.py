"""What the relaxations (logits -> simplex) share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

#: A map from logits `[..., K]` to the simplex, invariant to a shift of the logits.
Relaxation = Callable[[tf.Tensor], tf.Tensor]


def in_single(name: str, logits: Any, relaxation: Relaxation) -> tf.Tensor:
    """`relaxation(logits)` in at least float32, rounded back to the dtype of `logits`."""
    logits = tf.convert_to_tensor(logits)
    if not logits.dtype.is_floating:
        raise TypeError(f"`{name}` must be floating. Received: dtype={logits.dtype.name}")
    if logits.dtype.size < 4:
        return tf.cast(relaxation(tf.cast(logits, tf.float32)), logits.dtype)
    return relaxation(logits)


def tempered(logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """(z - max z) / tau. Shifting first keeps tau -> 0 finite at the maximum; a logit of -inf stays -inf as tau -> inf."""
    shifted = logits - tf.stop_gradient(tf.reduce_max(logits, axis=-1, keepdims=True))
    excluded = tf.math.is_inf(logits)
    scaled = tf.where(excluded, tf.zeros_like(shifted), shifted) / tf.cast(temperature, logits.dtype)
    return tf.where(excluded, logits, scaled)
