"""Conversion of arguments to tensors: once, at the entry, or an error with the argument's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss._internal.checks import received

# The errors of TensorFlow and NumPy for values that are not tensors; they stay attached as the cause.
_FAILURES = (TypeError, ValueError, OverflowError, AttributeError, tf.errors.OpError)


def tensor(name: str, value: Any) -> tf.Tensor:
    """`value` as a dense tensor in its own dtype.

    Raises:
        TypeError: if it is ragged, sparse, masked, symbolic or a structure, or has no shape.
        ValueError: if its rows differ in length, or a number is out of the range of its dtype.
    """
    for part in (value, *(value if isinstance(value, (list, tuple)) else ())):
        refused = _refused(part)
        if refused:
            raise TypeError(f"`{name}` must be one dense tensor: {refused}. {received(name, value)}")
    try:
        return tf.convert_to_tensor(value)
    except _FAILURES as error:
        if isinstance(value, (list, tuple, int, float, np.ndarray)) and not isinstance(error, TypeError):
            raise ValueError(
                f"`{name}` must have rows of one length, and numbers in the range of a dtype. {received(name, value)}"
            ) from error
        raise TypeError(f"`{name}` must be a tensor or an array. {received(name, value)}") from error


def _refused(value: Any) -> str | None:
    """Why `value` cannot be one dense tensor without loss, or None if it can."""
    if value is None:
        return "None has no values"
    if isinstance(value, tf.RaggedTensor):
        return "pad the rows with `to_tensor()`, and give the padding a `sample_weight` or a mask of 0"
    if isinstance(value, tf.SparseTensor):
        return "convert it with `tf.sparse.to_dense`"
    if isinstance(value, np.ma.MaskedArray):
        return "TensorFlow would drop the mask; fill it, and give a `sample_weight` of 0 instead"
    if isinstance(value, Mapping):
        return "a dict holds several tensors"
    return None


def numbers(name: str, value: Any, rule: str = "must be real numbers") -> tf.Tensor:
    """`value` as a tensor of real numbers: floating, integer or bool."""
    found = tensor(name, value)
    if not (found.dtype.is_floating or found.dtype.is_integer or found.dtype == tf.bool):
        raise TypeError(f"`{name}` {rule}. {received(name, value, found)}")
    return found


def real(name: str, value: Any, rule: str = "must be real numbers") -> tf.Tensor:
    """`value` as a tensor of real numbers: floating or integer, not bool."""
    found = numbers(name, value, rule)
    if found.dtype == tf.bool:
        raise TypeError(f"`{name}` {rule}. {received(name, value, found)}")
    return found


def floating(name: str, value: Any, axes: str = "") -> tf.Tensor:
    """`value` as a floating tensor. If `axes` names the required shape, the last axis must exist and not be empty."""
    found = tensor(name, value)
    if not found.dtype.is_floating:
        raise TypeError(f"`{name}` must be floating. {received(name, value, found)}")
    if axes and (not found.shape.rank or found.shape[-1] == 0):
        raise ValueError(f"`{name}` must have shape {axes}. {received(name, value, found)}")
    return found


def variables(name: str, value: Any, empty: bool = True) -> list[Any]:
    """`value` as a list of variables or tensors. The list may be empty only if `empty`."""
    kinds = (tf.Variable, keras.Variable, tf.Tensor, tf.distribute.DistributedValues)
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, kinds) for one in value):
        raise TypeError(f"`{name}` must be a list of variables. {received(name, value)}")
    if not (value or empty):
        raise ValueError(f"`{name}` must not be empty. {received(name, value)}")
    return list(value)
