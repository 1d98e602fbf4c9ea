"""Checks of the values of schedules: a float, or a list of K floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from blendloss._internal import checks

#: A value as a schedule takes it, and as it keeps it.
Value: TypeAlias = float | Sequence[float] | np.ndarray
Kept: TypeAlias = float | list[float]


def value(name: str, given: Any) -> Kept:
    """`given` as a float or a list of floats, each finite in float32."""
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given[()]
    kept: Kept
    if isinstance(given, (Sequence, np.ndarray)):
        kept = checks.finites(name, given)
    else:
        kept = checks.finite(name, given)
    return kept


def values(**given: Any) -> list[Kept]:
    """Checks each value by `value`, and that all have one shape."""
    kept = [value(name, one) for name, one in given.items()]
    if len({np.shape(one) for one in kept}) > 1:
        received = ", ".join(f"{name}={one!r}" for name, one in given.items())
        raise ValueError(f"{_join_names(given)} must have the same shape. Received: {received}")
    return kept


def numbers(kept: Kept) -> list[float]:
    """The floats of a value, as a list."""
    return kept if isinstance(kept, list) else [kept]


def boundaries(given: Any, minimum: int | None = None) -> list[int]:
    """`given`, the argument `boundaries`, as strictly increasing ints, the first at least `minimum`."""
    checks.ordered("boundaries", given)
    return [checks.integer(f"boundaries[{i}]", one, minimum) for i, one in enumerate(given)]


def _join_names(names: Any) -> str:
    *most, last = (f"`{name}`" for name in names)
    return f"{', '.join(most)} and {last}"
