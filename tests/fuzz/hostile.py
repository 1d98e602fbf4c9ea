"""Values that an argument must refuse, and values on which it may do either: refuse them, or compute with them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl

Make = Callable[[np.random.Generator], Any]

VALUES: dict[str, Make] = {
    "None": lambda rng: None,
    "text": lambda rng: "text",
    "bytes": lambda rng: b"1",
    "complex": lambda rng: complex(rng.normal(), 1),
    "nan": lambda rng: float("nan"),
    "inf": lambda rng: float("inf"),
    "-inf": lambda rng: float("-inf"),
    "10**400": lambda rng: 10**400,
    "-10**400": lambda rng: -(10**400),
    "1e39": lambda rng: 10.0 ** rng.uniform(38.6, 308),
    "1e-45": lambda rng: 10.0 ** rng.uniform(-320, -38.1),
    "float": lambda rng: float(rng.choice([-1, 1]) * 10.0 ** rng.uniform(-37, 38)),
    "-1": lambda rng: -1,
    "0": lambda rng: 0,
    "1.5": lambda rng: 1.5,
    "2**63": lambda rng: 2**63,
    "2**64": lambda rng: 2**64,
    "True": lambda rng: True,
    "object": lambda rng: object(),
    "texts": lambda rng: ["a", "b"],
    "dict": lambda rng: {"a": 1.0},
    "set": lambda rng: {1.0},
    "generator": lambda rng: (one for one in (1.0, 2.0)),
    "class": lambda rng: int,
    "function of nothing": lambda rng: lambda: 1.0,
    "nan list": lambda rng: [float("nan"), 1.0],
    "huge list": lambda rng: [10**400, 1],
    "rows of two lengths": lambda rng: [[1.0], [1.0, 2.0]],
    "empty": lambda rng: [],
    "date": lambda rng: datetime.date(2020, 1, 1),
    "date64": lambda rng: np.datetime64("2020-01-01"),
    "gate": lambda rng: bl.gates.Learned(),
    "keras schedule": lambda rng: keras.optimizers.schedules.CosineDecay(1.0, 10),
    "layer": lambda rng: keras.layers.Dense(2),
    "symbolic": lambda rng: keras.Input([2]),
    "ragged": lambda rng: tf.RaggedTensor.from_row_lengths(tf.zeros([12]), [2] * 6),
    "rows of two lengths, ragged": lambda rng: tf.RaggedTensor.from_row_lengths(tf.zeros([12]), [1, 3] * 3),
    "sparse": lambda rng: tf.sparse.from_dense(tf.ones([6, 2])),
    "masked": lambda rng: np.ma.array(np.ones((6, 2), "float32"), mask=np.eye(6, 2)),
    "complex tensor": lambda rng: tf.complex(tf.ones([6, 2]), tf.ones([6, 2])),
    "complex array": lambda rng: np.ones((6, 2)) + 1j,
    "texts tensor": lambda rng: tf.constant([["a", "b"]] * 6),
    "objects": lambda rng: np.array([[object()] * 2] * 6),
    "array": lambda rng: _array(rng, rng.integers(0, 7, size=rng.integers(1, 4))),
    "array of six rows": lambda rng: _array(rng, [6, *rng.integers(0, 4, size=rng.integers(0, 3))]),
    "array of two columns": lambda rng: _array(rng, [*rng.integers(0, 8, size=rng.integers(0, 3)), 2]),
    "array of no axes": lambda rng: tf.constant(_array(rng, [])),
}

_NUMBERS = {"float", "-1", "0", "1.5", "2**63", "2**64"}
_INTEGERS = {"-1", "0", "2**63", "2**64"}
_ARRAYS = {"array", "array of six rows", "array of two columns"}
_TENSORS = _NUMBERS | _ARRAYS | {"array of no axes", "1e39", "1e-45", "inf", "-inf", "nan", "nan list", "True", "empty"}
#: Of each kind of argument, the values on which it may do either; it must refuse all others.
EITHER: dict[str, set[str]] = {
    "number": _NUMBERS,
    "real": _NUMBERS | {"1e39", "1e-45", "inf", "-inf"},
    "integer": _INTEGERS,
    "boolean": {"True"},
    "choice": set(),
    "text": {"text"},
    "numbers": _ARRAYS,
    "number or numbers": _NUMBERS | _ARRAYS,
    "schedule": _NUMBERS | _ARRAYS | {"keras schedule"},
    "loss": set(),
    "losses": {"texts"},
    "patterns": {"texts"},
    "relaxation": set(),
    "object": set(),
    "list": {"empty"},
    "function": {"keras schedule"},
    "index": _INTEGERS | {"text"},
    "target": _NUMBERS | {"text"},
    "indices": _INTEGERS | _ARRAYS,
    "layer": {"layer"},
    "tensor": _TENSORS,
    "output": _TENSORS | {"dict"},
    "step": _TENSORS,
    "scale": _NUMBERS | _ARRAYS | {"1e39", "1e-45", "array of no axes"},
    "count": set(),
    "data": _ARRAYS | {"array of no axes", "complex array", "complex tensor", "texts tensor"},
    "anything": set(VALUES),
}
#: Values of which a NaN may come.
NOT_FINITE = {"nan", "inf", "-inf", "nan list", "1e39", "float"}

_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool")


def _array(rng: np.random.Generator, shape: Any) -> Any:
    """An array of `shape` and any dtype."""
    return tf.cast(tf.constant(rng.uniform(0, 3, size=shape)), str(rng.choice(_DTYPES))).numpy()
