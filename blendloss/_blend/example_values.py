"""The values of K losses by example: their means, and their blend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from blendloss._blend.batch import Batch
from blendloss._blend.weighted_sum import weighted_sum
from blendloss._internal.dtypes import to_common_dtype
from blendloss._internal.reductions import accurate_mean, number_of, reduce, weights_of_elements


class Terms(NamedTuple):
    """The blended losses, and what was blended.

    Args:
        value: sum_k g_k l_k, reduced; differentiable.
        losses: l, `[K]`.
        weights: g, `[K]` or `[batch, ..., K]`.
    """

    value: tf.Tensor
    losses: tf.Tensor
    weights: tf.Tensor


class ExampleValues(NamedTuple):
    """The values of K losses by example, with what weighs them.

    Args:
        values: K tensors `[batch, ...]`, or `[batch, ..., D]` by element.
        batches: of each loss; its sample weights and mask count.
        elementwise: whether the values are by element, and the last axis is averaged.
        reduction: the blend's.
        separate: whether each loss has a batch of its own, of its own number of examples.
    """

    values: Sequence[tf.Tensor]
    batches: Sequence[Batch]
    elementwise: bool
    reduction: str | None
    separate: bool

    @property
    def _keeps_examples(self) -> bool:
        return self.reduction in ("none", None)

    def means(self) -> list[tf.Tensor]:
        """The reduced losses, K scalars; means, where the blend does not reduce."""
        rule = "mean" if self._keeps_examples else self.reduction
        pairs = zip(self.values, self.batches, strict=True)
        return to_common_dtype([reduce_values(value, batch, self.elementwise, rule) for value, batch in pairs])

    def terms(self, weights: tf.Tensor) -> Terms:
        """The blend by weights `[K]` or `[batch, ..., K]`, and what was blended."""
        return Terms(self._blend(weights), tf.stack(self.means()), weights)

    def _blend(self, weights: tf.Tensor) -> tf.Tensor:
        first = self.batches[0]
        if all(batch is first for batch in self.batches):
            return reduce_values(_blend_examples(self.values, weights), first, self.elementwise, self.reduction)
        if not self.separate or weights.shape.rank == 1:
            shares = [self._share(*pair) for pair in zip(self.values, self.batches, strict=True)]
            return reduce(_blend_examples(shares, weights), None, "none" if self._keeps_examples else "sum")
        parts = [_blend_examples([value], weights[:, k : k + 1]) for k, value in enumerate(self.values)]
        pairs = zip(parts, self.batches, strict=True)
        return tf.add_n([reduce_values(part, batch, False, self.reduction) for part, batch in pairs])

    def _share(self, values: tf.Tensor, batch: Batch) -> tf.Tensor:
        """`values` as parts of the sum that they are reduced to, by weights and a mask of their own."""
        weights = weights_of_elements(values, batch.sample_weight, batch.mask, self.reduction)
        weighted = values if weights is None else values * weights
        if self._keeps_examples:
            return weighted
        return tf.math.divide_no_nan(weighted, number_of(weighted, weights, self.reduction))


def reduce_values(values: tf.Tensor, batch: Batch, elementwise: bool, reduction: str | None) -> tf.Tensor:
    """The values of one loss, weighted and reduced; by element, their mean over the last axis first."""
    if elementwise and values.shape.rank > 1:
        values = accurate_mean(values)
    return reduce(values, weights_of_elements(values, batch.sample_weight, batch.mask, reduction), reduction)


def _blend_examples(values: Sequence[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    """sum_k g_k l_k of each example: `values` K times `[batch, ...]`, `weights` `[K]` or `[batch, K]`."""
    shapes = {tuple(value.shape) for value in values}
    if len({len(shape) for shape in shapes}) > 1 or not values[0].shape.rank:
        raise ValueError(f"Losses blended by example must have values of one shape [batch, ...]. Received: {shapes}")
    if weights.shape.rank == 2:
        batch = tf.shape(weights)[0]
        weights = tf.reshape(weights, tf.stack([batch] + [1] * (values[0].shape.rank - 1) + [len(values)]))
    return weighted_sum(tf.stack([tf.cast(value, weights.dtype) for value in values], axis=-1), weights)
