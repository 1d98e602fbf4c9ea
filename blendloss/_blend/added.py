"""The values of losses that layers add, among the batches of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blendloss._blend.batch import Batch, to_compute_dtype
from blendloss.losses import AddedLoss


def added_names(losses: Mapping[str, Any]) -> list[str]:
    """Which of `losses` a layer adds."""
    return [name for name, loss in losses.items() if isinstance(loss, AddedLoss)]


def with_added(
    losses: Mapping[str, Any], batches: Sequence[Batch], added: Mapping[str, Any] | None
) -> tuple[Batch, ...]:
    """`batches` of the other losses, and for each loss of a layer one that holds its value of `added`."""
    wanted, given = added_names(losses), {} if added is None else added
    if not isinstance(given, Mapping) or set(given) != set(wanted):
        raise ValueError(
            f"`added` must have a value for each loss that a layer adds, {wanted}: use `BlendedModel`, or give them in "
            f"a loop of your own. Received: {list(given) if isinstance(given, Mapping) else given!r}"
        )
    others = iter(batches)
    return tuple(_batch(name, given[name]) if name in given else next(others) for name in losses)


def _batch(name: str, value: Any) -> Batch:
    value = to_compute_dtype(value, f"added[{name!r}]")
    if value.shape.rank != 0:
        raise ValueError(f"`added[{name!r}]` must be a scalar. Received: shape {value.shape}")
    return Batch(value, value, None, None)
