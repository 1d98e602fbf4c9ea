"""Sums that are accurate in every regime, and Keras's reduction of weighted values."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from blendloss._internal.custom_gradient import custom_gradient

# XLA's CPU compiler sums a long float32 vector in a few accumulators (relative error up to 5e-4 at 2^24), and merges a
# reduction of reductions into one. An elementwise sum of a few slices is vectorized and cannot be merged. Its result is
# summed in float64.
_SLICES = 16


def accurate_sum(values: tf.Tensor) -> tf.Tensor:
    """The sum over the last axis, with a relative error <= 1e-6 for 2^24 positive float32 values, in every regime.

    Args:
        values: `[..., N]`, float32 or float64.

    Returns:
        `[...]`, in the same dtype.
    """
    if values.dtype == tf.float64:
        return tf.reduce_sum(values, axis=-1)
    if values.shape[-1] is not None and values.shape[-1] <= _SLICES:
        return tf.reduce_sum(values, axis=-1)
    return _sliced_sum(values)


@custom_gradient
def _sliced_sum(values: tf.Tensor) -> Any:
    shape = tf.shape(values)
    length = shape[-1] // _SLICES
    head = tf.reshape(values[..., : _SLICES * length], tf.concat([shape[:-1], [_SLICES, length]], 0))
    parts = tf.unstack(head, _SLICES, axis=-2)
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
    tail = values[..., _SLICES * length :]
    total = tf.reduce_sum(tf.cast(parts[0], tf.float64), -1) + tf.reduce_sum(tf.cast(tail, tf.float64), -1)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.broadcast_to(upstream[..., tf.newaxis], shape)

    result = tf.cast(total, values.dtype)
    return tf.ensure_shape(result, values.shape[:-1]), gradient


def accurate_mean(values: tf.Tensor) -> tf.Tensor:
    """The mean over the last axis, by `accurate_sum`. As in Keras, it is 0 if the axis is empty."""
    count = tf.cast(tf.shape(values)[-1], values.dtype)
    return tf.math.divide_no_nan(accurate_sum(values), count)


REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


def weights_of_elements(values: tf.Tensor, sample_weight: Any, mask: Any, reduction: str | None) -> tf.Tensor | None:
    """The factor of each of `values` `[batch, ...]`: sample weights and mask, merged as in Keras.

    A mean over masked values divides by the number of unmasked values, so the mask's factor is all / unmasked. A scalar
    loss of the whole batch is multiplied by the factors in their own shape.

    Returns:
        A tensor that broadcasts to `values`, or None if there is neither.
    """
    factor = None
    if mask is not None:
        factor = tf.cast(mask, values.dtype)
        if reduction in ("sum_over_batch_size", "mean"):
            total = tf.cast(tf.size(factor), values.dtype)
            factor = factor * tf.math.divide_no_nan(total, tf.reduce_sum(factor))
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, values.dtype)
    if not values.shape.rank:
        return _for_a_scalar(factor, sample_weight)
    given = [
        _same_rank(name, one, values)
        for name, one in (("A mask of the predictions", factor), ("`sample_weight`", sample_weight))
        if one is not None
    ]
    return math.prod(given[1:], start=given[0]) if given else None


def _for_a_scalar(factor: tf.Tensor | None, sample_weight: tf.Tensor | None) -> tf.Tensor | None:
    given = [one for one in (factor, sample_weight) if one is not None]
    if not given:
        return None
    rank = max(one.shape.rank for one in given)
    merged = math.prod(_of_rank(one, rank) for one in given)
    return merged[0] if merged.shape == [1] else merged  # Keras makes a scalar of it


def _of_rank(factor: tf.Tensor, rank: int) -> tf.Tensor:
    while factor.shape.rank < rank:
        factor = factor[..., tf.newaxis]
    return factor


def _same_rank(name: str, factor: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    given = factor.shape
    if factor.shape.rank == values.shape.rank + 1 and factor.shape[-1] == 1:
        factor = tf.squeeze(factor, -1)
    if factor.shape.rank > values.shape.rank:
        raise ValueError(
            f"{name} must not have more axes than the values of the losses. "
            f"Received: shape {given} for values of shape {values.shape}"
        )
    factor = _of_rank(factor, values.shape.rank)
    pairs = zip(factor.shape, values.shape, strict=True)
    if any(None not in pair and 1 not in pair and pair[0] != pair[1] for pair in pairs):
        raise ValueError(
            f"{name} must broadcast to the values of the losses, one for each example. "
            f"Received: shape {given} for values of shape {values.shape}"
        )
    return factor


def reduce(values: tf.Tensor, weights: tf.Tensor | None, reduction: str | None) -> tf.Tensor:
    """Reduces `values` `[batch, ...]`, times `weights`, to a scalar by Keras's rule; 0 for an empty batch."""
    if weights is not None:
        values = values * weights
    if reduction in ("none", None) or not values.shape.rank:
        return values
    total = accurate_sum(tf.reshape(values, [-1]))
    return tf.math.divide_no_nan(total, number_of(values, weights, reduction))


def number_of(values: tf.Tensor, weights: tf.Tensor | None, reduction: str | None) -> tf.Tensor:
    """The divisor of the sum of `values` `[batch, ...]`, times `weights`."""
    if reduction == "sum":
        return tf.ones([], values.dtype)
    if reduction == "mean_with_sample_weight" and weights is not None:
        return accurate_sum(tf.reshape(tf.broadcast_to(weights, tf.shape(values)), [-1]))
    return tf.cast(tf.size(values), values.dtype)


def reduce_weighed(values: tf.Tensor, sample_weight: Any, mask: Any, reduction: str | None) -> tf.Tensor:
    """Like `reduce`, for values that are already multiplied by sample weights and mask."""
    counted = weights_of_elements(
        values, sample_weight if reduction == "mean_with_sample_weight" else None, mask, "sum"
    )
    number = number_of(values, counted, "sum" if reduction == "sum" else "mean_with_sample_weight")
    return tf.math.divide_no_nan(accurate_sum(tf.reshape(values, [-1])), number)


def per_replica(value: tf.Tensor, reduction: str | None) -> tf.Tensor:
    """Divides a mean by the number of replicas, because `tf.distribute` sums their gradients; as in Keras."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value if replicas == 1 or reduction in ("sum", "none", None) else value / replicas


def for_mean_over_replicas(value: tf.Tensor, reduction: str | None) -> tf.Tensor:
    """A replica's loss, such that the mean over the replicas is the loss of all: sums add up over the replicas."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value * replicas if replicas > 1 and reduction == "sum" else value


def of_all_replicas(value: tf.Tensor, reduction: str | None) -> tf.Tensor:
    """Undoes `per_replica`, for a loss that divides by the number of replicas itself."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return value if replicas == 1 or reduction in ("sum", "none", None) else value * replicas
