"""Elements that do not count: NaN and infinity there must reach neither value nor gradient."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def replace_missing(
    targets: list[tf.Tensor], outputs: list[tf.Tensor], sample_weight: Any, mask: Any
) -> tuple[list[tf.Tensor], list[tf.Tensor], tuple[tf.Tensor, ...]]:
    """Targets and predictions that are finite where a sample weight of 0, or a mask, says that they do not count.

    A missing target is NaN, and 0 * NaN is NaN. Finite elements stay unchanged, because a search for sample weights
    needs their derivative, which is the loss.

    Returns:
        The two, and where elements were replaced: bool tensors of the shape of either.
    """
    if len(targets) == len(outputs) and all(map(_alike, targets, outputs)):
        found = [_replaced_pair(*pair, sample_weight, mask) for pair in zip(targets, outputs, strict=True)]
        return (
            [y_true for y_true, _, _ in found],
            [y_pred for _, y_pred, _ in found],
            tuple(flag for *_, missing in found for flag in missing),
        )
    each = [_replaced(tensor, sample_weight, mask) for tensor in (*targets, *outputs)]
    tensors = [tensor for tensor, _ in each]
    flags = tuple(flag for _, missing in each for flag in missing)
    return tensors[: len(targets)], tensors[len(targets) :], flags


def _alike(y_true: tf.Tensor, y_pred: tf.Tensor) -> bool:
    known = y_true.shape.rank is not None and y_true.shape.rank == y_pred.shape.rank
    return known and y_true.dtype == y_pred.dtype and y_true.shape.is_compatible_with(y_pred.shape)


def _replaced_pair(
    y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any, mask: Any
) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
    uncounted = _uncounted(y_pred, sample_weight, mask)
    if uncounted is None:
        return y_true, y_pred, ()
    missing = uncounted & ~tf.math.is_finite(y_pred - y_true)
    # The residual is 0 there; no value of either can be outside of what a loss is defined on, if one is finite.
    there = tf.stop_gradient(tf.where(tf.math.is_finite(y_pred), y_pred, tf.zeros_like(y_pred)))
    return tf.where(missing, there, y_true), tf.where(missing, there, y_pred), (missing,)


def _replaced(tensor: tf.Tensor, sample_weight: Any, mask: Any) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
    """As `_replaced_pair`, for targets of another shape than the predictions, such as labels: 0 is the first class."""
    uncounted = _uncounted(tensor, sample_weight, mask) if tensor.dtype.is_floating else None
    if uncounted is None:
        return tensor, ()
    missing = uncounted & ~tf.math.is_finite(tensor)
    return tf.where(missing, tf.zeros_like(tensor), tensor), (missing,)


def _uncounted(tensor: tf.Tensor, sample_weight: Any, mask: Any) -> tf.Tensor | None:
    """Which elements of `tensor` do not count; None if nothing says so for a tensor of this shape."""
    flags = []
    if sample_weight is not None:
        flags.append(tf.convert_to_tensor(sample_weight) == 0)
    if mask is not None:
        flags.append(~tf.cast(mask, tf.bool))
    of_elements = [of_rank for flag in flags if (of_rank := _of_rank(flag, tensor)) is not None]
    if not of_elements:
        return None
    return of_elements[0] if len(of_elements) == 1 else of_elements[0] | of_elements[1]


def _of_rank(flag: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor | None:
    rank = tensor.shape.rank
    if rank is None or flag.shape.rank is None:
        return None
    if flag.shape.rank == rank + 1 and flag.shape[-1] == 1:
        flag = tf.squeeze(flag, -1)
    while flag.shape.rank < rank:
        flag = flag[..., tf.newaxis]
    fits = all(one in (None, 1, other) or other is None for one, other in zip(flag.shape, tensor.shape, strict=False))
    return flag if flag.shape.rank == rank and fits else None  # what does not fit is refused where it is multiplied


def zero_missing(values: tf.Tensor, missing: tuple[tf.Tensor, ...]) -> tf.Tensor:
    """The values of a loss, `[batch, ...]`, 0 where something is missing; NaN, of a scalar for the whole batch."""
    for flag in missing:
        if not values.shape.rank:  # Keras's weights multiply the scalar: no example can be left out of it
            nothing = tf.constant(float("nan"), values.dtype)
            values = values * tf.where(tf.reduce_any(flag), nothing, tf.ones_like(nothing))
            continue
        while flag.shape.rank > values.shape.rank:
            flag = tf.reduce_any(flag, -1)
        while flag.shape.rank < values.shape.rank:
            flag = flag[..., tf.newaxis]
        values = tf.where(flag, tf.zeros_like(values), values)
    return values
