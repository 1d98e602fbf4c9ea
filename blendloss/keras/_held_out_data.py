"""Held-out data, kept in memory, where the training step can take any row."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss._internal import conversion
from blendloss.keras._rows import rows_of_step


class HeldOutData:
    """Data in variables that belong to no model: they are neither trained nor saved."""

    def __init__(self, data: Any) -> None:
        arrays = in_memory(data)
        self.number = len(tf.nest.flatten(arrays)[0])
        self._arrays = tf.nest.map_structure(lambda array: tf.Variable(array, trainable=False), arrays)

    def take(self, data: Any) -> bool:
        """Takes other `data` in the place of these, if they have the same form; a traced step then sees them."""
        arrays = in_memory(data)
        try:
            tf.nest.assert_same_structure(arrays, self._arrays)
        except (TypeError, ValueError):
            return False
        pairs = list(zip(tf.nest.flatten(self._arrays), tf.nest.flatten(arrays), strict=True))
        if any(old.shape != new.shape or old.dtype != new.dtype for old, new in pairs):
            return False
        for old, new in pairs:
            old.assign(new)
        return True

    def batch(self, step: tf.Tensor, size: int, seed: int) -> tuple[Any, Any, Any]:
        """Inputs, targets and sample weights (or None) of a step."""
        rows = rows_of_step(step, size, self.number, seed)
        x, y, *weights = tf.nest.map_structure(lambda array: tf.gather(array, rows), self._arrays)
        return x, y, weights[0] if weights else None


def in_memory(data: Any) -> tuple[Any, ...]:
    """`data` as tensors: `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        ValueError: if they are not that, have different lengths, or have none, or no end.
    """
    if isinstance(data, tf.data.Dataset):
        data = _read(data)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            "`held_out_data` must be (x, y), (x, y, sample_weight), or a finite batched tf.data.Dataset of these. "
            f"Received: {type(data).__name__}{f' of {len(data)}' if isinstance(data, (tuple, list)) else ''}"
        )
    parts = zip(("x", "y", "sample_weight"), data, strict=False)
    arrays = tuple(tf.nest.map_structure(partial(_tensor, name), part) for name, part in parts if part is not None)
    shapes = [tuple(array.shape) for array in tf.nest.flatten(arrays)]
    whole = all(tf.nest.flatten(array) for array in arrays)
    if len(arrays) < 2 or not whole or not all(shapes) or len({shape[0] for shape in shapes}) > 1 or not shapes[0][0]:
        raise ValueError(
            "`held_out_data` must have targets, and the same number of rows in each part, at least one. "
            f"Received: shapes {shapes}"
        )
    return arrays


def _read(dataset: tf.data.Dataset) -> Any:
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`held_out_data` must be finite: it is read once into memory. Received: an endless dataset")
    batches = list(dataset)
    if not batches:
        raise ValueError("`held_out_data` must not be empty. Received: a dataset without batches")
    if not all(tensor.shape.rank for tensor in tf.nest.flatten(batches[0])):
        raise ValueError(
            "`held_out_data` must be batched, as data for `fit` is. Received: a dataset of single examples"
        )
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *batches)


def _tensor(name: str, array: Any) -> tf.Tensor:
    """`array` as Keras's `fit` would take it: floats in its float type, a series of pandas as a column."""
    if hasattr(array, "to_numpy"):
        array = array.to_numpy()[:, np.newaxis] if hasattr(array, "to_frame") else array.to_numpy()
    tensor = conversion.tensor(name, array)
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor
