"""The batches that the losses of a blend read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from blendloss._blend.batch import Batch, build_batch, build_batch_of_several, to_compute_dtype
from blendloss._blend.missing import replace_missing
from blendloss.losses import AddedLoss, Columns, OutputLoss
from blendloss.losses._keys import several


def build_batches(losses: Mapping[str, Any], y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Batch, ...]:
    """The batch of each loss: one for all, or one of its own if it reads its own output, columns or weights.

    Args:
        losses: the losses by name, without those that layers add.
        y_true: targets, a tensor or a structure of outputs.
        y_pred: predictions, a tensor or a structure of outputs.
        sample_weight: weights for all, or by output, or by the names of losses; None is 1.
    """
    if not any(isinstance(loss, OutputLoss) for loss in losses.values()):
        if _unwrap(y_pred) is not y_pred:  # a network with a dict or list of one output
            by_output = isinstance(y_pred, Mapping) and isinstance(sample_weight, Mapping)
            of_output = not isinstance(sample_weight, Mapping) or (by_output and set(sample_weight) == set(y_pred))
            sample_weight = _unwrap(sample_weight) if of_output else sample_weight
            y_true, y_pred = _unwrap(y_true), _unwrap(y_pred)
        return _build_of_one_output(losses, y_true, y_pred, sample_weight)
    own = _weights_by_loss(sample_weight, y_pred, list(losses))
    found = []
    for name, part in losses.items():
        weights = own[name] if name in own else part.weights(sample_weight)
        target, output = part.select(y_true, y_pred)
        made = (build_batch_of_several if several(part.output) else build_batch)(target, output, weights)
        found.append(_replace_uncounted(_select_columns(part.loss, made)))
    return tuple(found)


def _select_columns(loss: Any, batch: Batch) -> Batch:
    """The columns of `batch` that `loss` reads, if it does not read all."""
    while isinstance(loss, Columns):
        y_true, y_pred = loss.select(batch.y_true, batch.y_pred)
        batch, loss = batch._replace(y_true=y_true, y_pred=y_pred, given=None), loss.loss
    return batch


def _replace_uncounted(batch: Batch) -> Batch:
    """`batch` without NaN and infinity in elements that do not count."""
    if batch.sample_weight is None and batch.mask is None:
        return batch
    y_true, y_pred, missing = replace_missing(
        tf.nest.flatten(batch.y_true), tf.nest.flatten(batch.y_pred), batch.sample_weight, batch.mask
    )
    return batch._replace(
        y_true=tf.nest.pack_sequence_as(batch.y_true, y_true),
        y_pred=tf.nest.pack_sequence_as(batch.y_pred, y_pred),
        missing=missing,
    )


def _build_of_one_output(losses: Mapping[str, Any], y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Batch, ...]:
    """Batches of one output: the same object for all losses that read all of it with the same weights."""
    by_loss: Mapping[str, Any] = {}
    if isinstance(sample_weight, Mapping):
        if not set(sample_weight) <= set(losses):
            raise ValueError(
                f"`sample_weight` must have names of losses as keys, {list(losses)}. Received: {list(sample_weight)}"
            )
        by_loss, sample_weight = sample_weight, None
    without = build_batch(y_true, y_pred, sample_weight)
    whole = _replace_uncounted(without)
    found = []
    for name, loss in losses.items():
        own = by_loss.get(name)
        batch = without if own is None else build_batch(y_true, y_pred, own)
        read = _select_columns(loss, batch)
        found.append(whole if read is without else _replace_uncounted(read))
    return tuple(found)


def _unwrap(structure: Any) -> Any:
    """The tensor in a dict or list of one tensor; anything else unchanged."""
    entries = list(structure.values()) if isinstance(structure, Mapping) else structure
    one = _is_list(entries) and len(entries) == 1 and (entries is not structure or hasattr(entries[0], "shape"))
    return entries[0] if one else structure


def _weights_by_loss(sample_weight: Any, y_pred: Any, names: list[str]) -> dict[str, Any]:
    """The weights given by the names of losses. Rejects weights for unknown outputs, which would be ignored."""
    outputs = list(y_pred) if isinstance(y_pred, Mapping) else list(range(len(y_pred))) if _is_list(y_pred) else []
    if isinstance(sample_weight, Mapping):
        if not set(sample_weight) <= {*outputs, *names}:
            raise ValueError(
                f"`sample_weight` must have keys of outputs, {outputs}, or of losses, {names}. "
                f"Received: {list(sample_weight)}"
            )
        for key in outputs:
            if isinstance(sample_weight.get(key), Mapping):
                _weights_by_loss(sample_weight[key], y_pred[key], [])
        return {name: sample_weight[name] for name in names if name in sample_weight and name not in outputs}
    if _is_list(sample_weight) and _is_list(y_pred) and len(sample_weight) != len(outputs):
        raise ValueError(
            f"`sample_weight` must have an entry for each of the {len(outputs)} outputs, where it is a list. "
            f"Received: {len(sample_weight)}"
        )
    return {}


def _is_list(structure: Any) -> bool:
    return isinstance(structure, (list, tuple))


def shared_batch(batches: tuple[Batch, ...], losses: Mapping[str, Any], sample_weight: Any, y_pred: Any) -> Batch:
    """The batch by which a cost of all examples is weighted and reduced; if each loss has its own, the first."""
    first = batches[0]
    if all(batch.mask is first.mask and batch.sample_weight is first.sample_weight for batch in batches):
        return first
    by_key = isinstance(sample_weight, Mapping) or (_is_list(sample_weight) and _is_list(y_pred))
    of_outputs = any(isinstance(loss, OutputLoss) for loss in losses.values())
    return first._replace(
        mask=None if of_outputs else first.mask, sample_weight=None if by_key else first.sample_weight
    )


def added_names(losses: Mapping[str, Any]) -> list[str]:
    """The names of the losses that layers add."""
    return [name for name, loss in losses.items() if isinstance(loss, AddedLoss)]


def insert_added(
    losses: Mapping[str, Any], batches: Sequence[Batch], added: Mapping[str, Any] | None
) -> tuple[Batch, ...]:
    """`batches` of the other losses, and for each loss that a layer adds a batch that holds its value."""
    wanted, given = added_names(losses), {} if added is None else added
    if not isinstance(given, Mapping) or set(given) != set(wanted):
        raise ValueError(
            f"`added` must have a value for each loss that a layer adds, {wanted}: use `BlendedModel`, or give them in "
            f"a loop of your own. Received: {list(given) if isinstance(given, Mapping) else given!r}"
        )
    others = iter(batches)
    return tuple(_added_batch(name, given[name]) if name in given else next(others) for name in losses)


def _added_batch(name: str, value: Any) -> Batch:
    value = to_compute_dtype(value, f"added[{name!r}]")
    if value.shape.rank != 0:
        raise ValueError(f"`added[{name!r}]` must be a scalar. Received: shape {value.shape}")
    return Batch(value, value, None, None)
