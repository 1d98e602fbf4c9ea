"""Building a model before its training step is traced."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import tensorflow as tf


def build_before_tracing(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> None:
    """Creates the variables of network, metrics and optimizer from the shapes of the data.

    Keras creates them in the first step, which TensorFlow then traces a second time. Data that does not say its shape
    beforehand (generators) is left to Keras.
    """
    given = tuple(part for part in (x, y, sample_weight) if part is not None)
    if isinstance(x, tf.data.Dataset):
        batch = x.element_spec
    elif all(hasattr(array, "shape") for array in tf.nest.flatten(given)):
        batch = tf.nest.map_structure(_batch_of, given)
    else:
        return
    # Not public; it is what Keras itself does under `tf.distribute`, to create variables outside of replicas.
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=batch)


def build_by_call(network: keras.Layer, input_shape: Any) -> None:
    """Creates the variables of a network without a `build` of its own, from inputs of `input_shape`, if it takes them.

    One that takes no floats of that shape is left to the call that follows, which has the inputs themselves.
    """
    inputs = keras.tree.map_shape_structure(keras.KerasTensor, input_shape)
    with contextlib.suppress(Exception):
        network(inputs)


def _batch_of(array: Any) -> tf.TensorSpec:
    try:
        dtype = tf.as_dtype(array.dtype)
    except (AttributeError, TypeError):  # a table of pandas, whose columns Keras makes float32
        dtype = tf.float32
    column = [1] if hasattr(array, "to_frame") else []  # of a pandas series Keras makes a table
    return tf.TensorSpec([None, *array.shape[1:], *column], dtype)
