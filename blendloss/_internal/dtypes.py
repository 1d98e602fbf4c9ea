"""Dtypes of state and of computations, and initial values of variables."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def state_dtype(dtype: Any) -> Any:
    """`dtype`. None is float64 if Keras's layers use it, else float32: state needs more than half precision."""
    if dtype is not None:
        return dtype
    return "float64" if "float64" in (keras.config.floatx(), keras.config.dtype_policy().variable_dtype) else "float32"


def cast(value: Any, dtype: Any) -> tf.Tensor:
    """Casts a number or a tensor to `dtype`. `tf.cast` would round a Python number to float32 first."""
    return tf.cast(np.float64(value) if isinstance(value, numbers.Real) else value, dtype)


def initial(value: Any) -> Callable[..., tf.Tensor]:
    """An initializer with `value`, a number or a list, rounded once. Keras's `Constant` rounds to float32 first."""

    def initialize(shape: Any, dtype: Any = None) -> tf.Tensor:
        return tf.broadcast_to(tf.cast(tf.constant(np.asarray(value, np.float64)), dtype), shape)

    return initialize


def common_dtype(tensors: Sequence[Any]) -> tf.DType:
    """What tensors, or structures of them, are computed in together: float64 if one of them is, else float32."""
    return tf.float64 if any(tensor.dtype == tf.float64 for tensor in tf.nest.flatten(tensors)) else tf.float32


def to_common_dtype(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """`tensors` in their common dtype."""
    dtype = common_dtype(tensors)
    return [tf.cast(tensor, dtype) for tensor in tensors]
