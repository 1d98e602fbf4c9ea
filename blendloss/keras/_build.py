"""Building a model before its training step is traced."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def build_before_tracing(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Creates the variables of network, metrics and optimizer from the shapes of the data.

    Keras creates them in the first step, which TensorFlow then traces a second time. Data that does not say its shape
    beforehand (generators) is left to Keras.
    """
    if isinstance(x, tf.data.Dataset):
        batch = x.element_spec
    elif hasattr(x, "shape") and hasattr(y, "shape"):
        batch = tuple(_batch_of(array) for array in (x, y, sample_weight) if array is not None)
    else:
        return
    # The one call into Keras that is not public; it is what Keras does itself under `tf.distribute`.
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=batch)


def _batch_of(array: Any) -> tf.TensorSpec:
    return tf.TensorSpec([None, *array.shape[1:]], tf.as_dtype(getattr(array, "dtype", "float32")))
