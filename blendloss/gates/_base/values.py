"""The losses that gates compute with, what they keep of them, and arguments with one number for each loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.replicas import mean_over_replicas
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate


def shared_values(gate: Gate, context: Context) -> tf.Tensor:
    """The losses that `gate` looks at, `[K]`, as `precise`: their mean over the replicas, so that their gates agree."""
    return mean_over_replicas(precise(gate, context.values))


def precise(gate: Gate, values: Any) -> tf.Tensor:
    """`values` in float64 where they or the gate are, else in float32: half precision has no range for losses."""
    values = tf.convert_to_tensor(values)
    double = "float64" in (values.dtype.name, gate.compute_dtype)
    return tf.cast(values, tf.float64 if double else tf.float32)


def kept(gate: Gate, name: str, shape: tuple[int, ...] = (), value: float = 0) -> Any:
    """A variable of `gate`, made by `Gate.add_state`, of the precision of `precise`."""
    return gate.add_state(name, shape, value, dtype="float64" if gate.variable_dtype == "float64" else "float32")


def checked_entries(
    name: str, values: Any, check: Callable[..., float] = checks.finite, dtype: str = "float32"
) -> list[float] | None:
    """`values`, None or finite numbers that each pass `check`, as a list of floats."""
    return None if values is None else checks.finites(name, values, check, dtype)


def checked_preference(name: str, values: Any) -> list[float] | None:
    """`values`, None or finite non-negative numbers that are not all 0, as a list of floats."""
    entries = checked_entries(name, values, checks.non_negative)
    if entries is not None and not any(entries):
        raise ValueError(f"`{name}` must not be all 0. Received: {name}={values!r}")
    return entries


def one_each(name: str, given: list[float] | None, k: int, default: float = 1.0) -> list[float]:
    """`given`, one number for each of the `k` losses; None is `default` for each."""
    return checks.for_each(name, default if given is None else given, k)
