"""The values that these gates compute with, and vectors of arguments with one entry for each loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss import _checks


def over_replicas(values: tf.Tensor) -> tf.Tensor:
    """The mean of `values` over the replicas, so that their gates agree."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return values
    return replica.all_reduce(tf.distribute.ReduceOp.MEAN, values)


def precise(gate: Any, values: Any) -> tf.Tensor:
    """`values` in float64 where they or the gate are, else in float32: half precision has no range for losses."""
    values = tf.convert_to_tensor(values)
    double = "float64" in (values.dtype.name, gate.compute_dtype)
    return tf.cast(values, tf.float64 if double else tf.float32)


def kept(gate: Any, name: str, shape: tuple[int, ...] = ()) -> Any:
    """A variable of `gate`, as of `Gate.state`, of the precision of `precise`."""
    return gate.state(name, shape, dtype="float64" if gate.variable_dtype == "float64" else "float32")


def checked_entries(name: str, values: Any) -> list[float] | None:
    """`values`, None or finite numbers, as a list of floats."""
    return None if values is None else _checks.finites(name, values)


def checked_preference(name: str, values: Any) -> list[float] | None:
    """`values`, None or finite non-negative numbers that are not all 0, as a list of floats."""
    entries = checked_entries(name, values)
    for i, entry in enumerate(entries or []):
        _checks.non_negative(f"{name}[{i}]", entry)
    if entries is not None and not any(entries):
        raise ValueError(f"`{name}` must not be all 0. Received: {name}={values!r}")
    return entries


def one_each(name: str, entries: list[float] | None, k: int, default: float) -> list[float]:
    """`entries`, one for each of the `k` losses; `default` for each where there are none."""
    if entries is None:
        return [default] * k
    if len(entries) != k:
        raise ValueError(f"`{name}` must have one number for each of the {k} losses. Received: {name}={entries}")
    return entries
