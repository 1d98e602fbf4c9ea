"""The variables that Keras's losses hold: no layer tracks them there, and no optimizer would train them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def held_by(losses: Sequence[Any]) -> list[Any]:
    """The variables and layers that are attributes of Keras's losses, each once, in the order of the losses."""
    found: dict[int, Any] = {}
    for loss in losses:
        if not isinstance(loss, keras.losses.Loss) or isinstance(loss, keras.Layer):
            continue  # layers are tracked as they are
        for name, value in vars(loss).items():
            if isinstance(value, tf.Variable):  # the same variable, in the form that Keras tracks
                value = keras.Variable(value, trainable=value.trainable, name=name)
            if isinstance(value, (keras.Variable, keras.Layer)):
                found.setdefault(id(value), value)
    return list(found.values())
