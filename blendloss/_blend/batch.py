"""What a blend is given, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._blend.missing import without_missing
from blendloss._internal import conversion
from blendloss.losses import AddedLoss, Columns, OutputLoss
from blendloss.losses._keys import several
from blendloss.losses._penalty import match_rank
from blendloss.losses._several import mask_of_several, targets_of_several


class Batch(NamedTuple):
    """Targets and predictions at one rank and dtype, or structures of them, with what weighs them.

    `given` are the targets as they were given. `missing` says which elements were replaced, as they do not count.
    `converted` says whether targets or predictions were brought to another dtype.
    """

    y_true: tf.Tensor
    y_pred: tf.Tensor
    sample_weight: tf.Tensor | None
    mask: tf.Tensor | None
    given: tf.Tensor | None = None
    missing: tuple[tf.Tensor, ...] = ()
    converted: bool = False

    @property
    def own_targets(self) -> tf.Tensor:
        """The targets as a loss with a `__call__` of its own takes them: of the rank, and integers as they were."""
        if self.given is None or not self.given.dtype.is_floating:
            return self.y_true if self.given is None else self.given
        if self.given.shape.rank == self.y_true.shape.rank:
            return self.y_true
        return tf.reshape(self.y_true, tf.shape(self.given))

    @property
    def by_example(self) -> tf.Tensor:
        """A tensor of the shape of the losses' values, `[batch, ...]`."""
        first = tf.nest.flatten(self.y_pred)[0]
        return first if first.shape.rank < 2 else first[..., 0]


NO_BATCH = Batch(None, None, None, None)
"""The batch of `combine`: the values are all there is."""


def batches_of(losses: Mapping[str, Any], y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Batch, ...]:
    """The batch that each of `losses` reads: one for all, or that of its head, its columns or weights of its own."""
    if not any(isinstance(loss, OutputLoss) for loss in losses.values()):
        if _only(y_pred) is not y_pred:  # a network with a dict or list of one output
            by_output = isinstance(y_pred, Mapping) and isinstance(sample_weight, Mapping)
            of_output = not isinstance(sample_weight, Mapping) or (by_output and set(sample_weight) == set(y_pred))
            sample_weight = _only(sample_weight) if of_output else sample_weight
            y_true, y_pred = _only(y_true), _only(y_pred)
        return _of_one_output(losses, y_true, y_pred, sample_weight)
    own = _own_weights(sample_weight, y_pred, list(losses))
    found = []
    for name, head in losses.items():
        weights = own[name] if name in own else head.weights(sample_weight)
        target, output = head.read(y_true, y_pred)
        made = (_of_several if several(head.output) else batch_of)(target, output, weights)
        found.append(_counted(_of_columns(head.loss, made)))
    return tuple(found)


def _of_columns(loss: Any, batch: Batch) -> Batch:
    """The columns of `batch` that `loss` reads, if it does not read all."""
    while isinstance(loss, Columns):
        y_true, y_pred = loss.read(batch.y_true, batch.y_pred)
        batch, loss = batch._replace(y_true=y_true, y_pred=y_pred, given=None), loss.loss
    return batch


def _counted(batch: Batch) -> Batch:
    """`batch`, of which nothing that does not count can reach a loss as NaN or infinity."""
    if batch.sample_weight is None and batch.mask is None:
        return batch
    y_true, y_pred, missing = without_missing(
        tf.nest.flatten(batch.y_true), tf.nest.flatten(batch.y_pred), batch.sample_weight, batch.mask
    )
    return batch._replace(
        y_true=tf.nest.pack_sequence_as(batch.y_true, y_true),
        y_pred=tf.nest.pack_sequence_as(batch.y_pred, y_pred),
        missing=missing,
    )


def _of_one_output(losses: Mapping[str, Any], y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Batch, ...]:
    """Of losses that read one output: the same batch for all that read all of it with the same weights."""
    by_loss: Mapping[str, Any] = {}
    if isinstance(sample_weight, Mapping):
        if not set(sample_weight) <= set(losses):
            raise ValueError(
                f"`sample_weight` must have names of losses as keys, {list(losses)}. Received: {list(sample_weight)}"
            )
        by_loss, sample_weight = sample_weight, None
    without = batch_of(y_true, y_pred, sample_weight)
    whole = _counted(without)
    found = []
    for name, loss in losses.items():
        own = by_loss.get(name)
        batch = without if own is None else batch_of(y_true, y_pred, own)
        read = _of_columns(loss, batch)
        found.append(whole if read is without else _counted(read))
    return tuple(found)


def _only(structure: Any) -> Any:
    """The one tensor in a dict or list of one; anything else as it is."""
    entries = list(structure.values()) if isinstance(structure, Mapping) else structure
    one = _listed(entries) and len(entries) == 1 and (entries is not structure or hasattr(entries[0], "shape"))
    return entries[0] if one else structure


def _own_weights(sample_weight: Any, y_pred: Any, names: list[str]) -> dict[str, Any]:
    """The weights that are those of one loss, by its name; weights of an output that there is not are refused."""
    outputs = list(y_pred) if isinstance(y_pred, Mapping) else list(range(len(y_pred))) if _listed(y_pred) else []
    if isinstance(sample_weight, Mapping):
        if not set(sample_weight) <= {*outputs, *names}:
            raise ValueError(
                f"`sample_weight` must have keys of outputs, {outputs}, or of losses, {names}. "
                f"Received: {list(sample_weight)}"
            )
        for key in outputs:
            if isinstance(sample_weight.get(key), Mapping):
                _own_weights(sample_weight[key], y_pred[key], [])
        return {name: sample_weight[name] for name in names if name in sample_weight and name not in outputs}
    if _listed(sample_weight) and _listed(y_pred) and len(sample_weight) != len(outputs):
        raise ValueError(
            f"`sample_weight` must have an entry for each of the {len(outputs)} outputs, where it is a list. "
            f"Received: {len(sample_weight)}"
        )
    return {}


def _listed(structure: Any) -> bool:
    return isinstance(structure, (list, tuple))


def shared_batch(batches: tuple[Batch, ...], losses: Mapping[str, Any], sample_weight: Any, y_pred: Any) -> Batch:
    """The batch by which a cost of all examples alike is weighted and reduced: of heads, the first's examples."""
    first = batches[0]
    if all(batch.mask is first.mask and batch.sample_weight is first.sample_weight for batch in batches):
        return first
    by_key = isinstance(sample_weight, Mapping) or (_listed(sample_weight) and _listed(y_pred))
    heads = any(isinstance(loss, OutputLoss) for loss in losses.values())
    return first._replace(mask=None if heads else first.mask, sample_weight=None if by_key else first.sample_weight)


def validate_losses(losses: Any) -> dict[str, Any]:
    """The losses by name; None for those that are names alone."""
    if isinstance(losses, Mapping):
        given = dict(losses)
        if any(loss is None for loss in given.values()):
            raise TypeError(f"`losses` must not contain None: a list of names has no losses. Received: {losses!r}")
    elif isinstance(losses, Sequence) and not isinstance(losses, (str, bytes)):
        if not all(isinstance(name, str) for name in losses):
            raise TypeError(f"`losses` must have strings as names. Received: {losses!r}")
        given = dict.fromkeys(losses)
        if len(given) != len(losses):
            raise ValueError(f"`losses` must have different names. Received: {list(losses)}")
    else:
        raise TypeError(f"`losses` must be a dict of losses or a list of names. Received: losses={losses!r}")
    if not given:
        raise ValueError(f"`losses` must not be empty. Received: losses={losses!r}")
    heads = {isinstance(loss, OutputLoss) for loss in given.values() if not isinstance(loss, AddedLoss)}
    if len(heads) > 1:
        raise ValueError(f"`losses` must all be of type `OutputLoss`, or none of them. Received: losses={losses!r}")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"`losses` must have strings as names. Received: {name!r}")
        if not name:
            raise ValueError("`losses` must not have an empty name. Received: ''")
    return given


def batch_of(y_true: Any, y_pred: Any, sample_weight: Any) -> Batch:
    """The batch of a call."""
    if isinstance(y_pred, Mapping) or (isinstance(y_pred, (list, tuple)) and any(map(tf.is_tensor, y_pred))):
        raise TypeError(
            "`y_pred` must be one tensor unless the losses are of type `OutputLoss`, which name the output that they "
            "read, as in losses.OutputLoss('depth', 'mae'). Or compute the values, and give them to `combine`. "
            f"Received: y_pred of type {type(y_pred).__name__}"
        )
    mask = getattr(y_pred, "_keras_mask", None)
    given_pred = conversion.real("y_pred", y_pred)
    y_pred = to_compute_dtype(given_pred, "y_pred")
    y_true = given = conversion.tensor("y_true", y_true)
    if y_true.dtype != tf.string:  # which a function of one's own may take
        y_true = tf.cast(
            conversion.numbers("y_true", y_true), y_pred.dtype
        )  # as Keras does; losses of classes cast back
    if y_true.shape.rank is not None and y_pred.shape.rank is not None:
        y_true = match_rank(y_true, y_pred)
    if sample_weight is not None:
        sample_weight = tf.cast(conversion.numbers("sample_weight", sample_weight), y_pred.dtype)
    converted = given.dtype != y_pred.dtype or given_pred.dtype != y_pred.dtype
    return Batch(y_true, y_pred, sample_weight, mask, given, converted=converted)


def _of_several(y_true: Any, y_pred: Any, sample_weight: Any) -> Batch:
    """The batch of a loss that reads several outputs: targets and predictions are structures of tensors."""
    outputs = tf.nest.flatten(y_pred)
    mask = mask_of_several(outputs)
    made = [to_compute_dtype(output, "y_pred") for output in outputs]
    dtype = tf.float64 if any(output.dtype == tf.float64 for output in made) else tf.float32
    y_pred = tf.nest.pack_sequence_as(y_pred, [tf.cast(output, dtype) for output in made])
    if sample_weight is not None:
        sample_weight = tf.cast(conversion.numbers("sample_weight", sample_weight), dtype)
    return Batch(targets_of_several(y_true, y_pred, dtype), y_pred, sample_weight, mask)


def to_compute_dtype(values: Any, name: str = "values") -> tf.Tensor:
    """`values` in float32 or float64: sums of half-precision losses overflow."""
    values = conversion.real(name, values)
    return values if values.dtype == tf.float64 else tf.cast(values, tf.float32)


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
    return tuple(_added_batch(name, given[name]) if name in given else next(others) for name in losses)


def _added_batch(name: str, value: Any) -> Batch:
    value = to_compute_dtype(value, f"added[{name!r}]")
    if value.shape.rank != 0:
        raise ValueError(f"`added[{name!r}]` must be a scalar. Received: shape {value.shape}")
    return Batch(value, value, None, None)
