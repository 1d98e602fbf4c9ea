"""The targets and predictions that one loss reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.dtypes import common_dtype
from blendloss.losses._penalty import match_rank
from blendloss.losses._several import mask_of_several, targets_of_several


class Batch(NamedTuple):
    """What one loss reads: targets and predictions of one rank and dtype, or structures of them.

    Args:
        y_true: the targets.
        y_pred: the predictions.
        sample_weight: weights that broadcast to the values of the loss; None is 1.
        mask: which values count; None is all.
        given: the targets before they were converted; None for structures and columns.
        missing: where elements were replaced because they do not count.
        converted: whether targets or predictions were converted to another dtype.
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
        """The targets for a loss with a `__call__` of its own: of the rank that was given; integers stay integers."""
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
"""The batch of values that were computed elsewhere."""


def build_batch(y_true: Any, y_pred: Any, sample_weight: Any) -> Batch:
    """The batch of one output."""
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
    if y_true.dtype != tf.string:  # a user's function may take strings
        # Keras casts targets, too; losses of classes cast them back.
        y_true = tf.cast(conversion.numbers("y_true", y_true), y_pred.dtype)
    if y_true.shape.rank is not None and y_pred.shape.rank is not None:
        y_true = match_rank(y_true, y_pred)
    if sample_weight is not None:
        sample_weight = tf.cast(conversion.numbers("sample_weight", sample_weight), y_pred.dtype)
    converted = given.dtype != y_pred.dtype or given_pred.dtype != y_pred.dtype
    return Batch(y_true, y_pred, sample_weight, mask, given, converted=converted)


def build_batch_of_several(y_true: Any, y_pred: Any, sample_weight: Any) -> Batch:
    """The batch of a loss that reads several outputs: targets and predictions are structures of tensors."""
    outputs = tf.nest.flatten(y_pred)
    mask = mask_of_several(outputs)
    made = [to_compute_dtype(output, "y_pred") for output in outputs]
    dtype = common_dtype(made)
    y_pred = tf.nest.pack_sequence_as(y_pred, [tf.cast(output, dtype) for output in made])
    if sample_weight is not None:
        sample_weight = tf.cast(conversion.numbers("sample_weight", sample_weight), dtype)
    return Batch(targets_of_several(y_true, y_pred, dtype), y_pred, sample_weight, mask)


def to_compute_dtype(values: Any, name: str = "values") -> tf.Tensor:
    """`values` in float32 or float64: sums of half-precision losses overflow."""
    values = conversion.real(name, values)
    return values if values.dtype == tf.float64 else tf.cast(values, tf.float32)
