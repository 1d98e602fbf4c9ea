"""Sums and means of several penalties at once, over all residuals or by example; their gradients are the slopes.

In a graph, the backward pass evaluates the slopes again from the residuals: under XLA that is cheaper than memory.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import tensorflow as tf

from blendloss._blend.batch import Batch
from blendloss._blend.row_reduction import RowReducer, one_row, row_reducer_for
from blendloss._blend.weighted_sum import block_nonfinite_gradient, masked_product
from blendloss._internal.custom_gradient import custom_gradient
from blendloss._internal.reductions import number_of, weights_of_elements
from blendloss.losses import Penalty

# XLA fuses at most so many losses' values, or slopes.
_TOGETHER = 8


def penalty_means(
    penalties: Sequence[Penalty],
    residuals: Sequence[tf.Tensor],
    batch: Batch,
    reduction: str,
    off: Sequence[tf.Tensor] | None = None,
) -> tf.Tensor:
    """Each penalty averaged over the last axis, weighted and reduced: as `reduce` does with `penalty(y_true, y_pred)`.

        l_k = sum_n w_n / D sum_d rho_k(r_knd) / number,    dl_k / dr_knd = w_n psi_k(r_knd) / (D number)

    Args:
        penalties: rho_k and psi_k, K of them.
        residuals: r_k, of each penalty, `[batch, ..., D]` or `[batch]`, float32 or float64.
        batch: its sample weights and mask count.
        reduction: any but "none".
        off: whether each penalty's weight is 0, K bool scalars: then no gradient flows back that is not finite (see
            `block_nonfinite_gradient`). None: no weight is 0.

    Returns:
        l, `[K]`; 0 for an empty batch.
    """
    weights, number = _weighing(residuals[0], batch, reduction)
    sums = _sums(penalties, residuals, weights, off, row_reducer_for(residuals[0], by_row=False))[0]
    if off is not None and weights and reduction == "mean_with_sample_weight":  # the number is of the weights, too
        number = tf.stack([block_nonfinite_gradient(number, one) for one in off])
    return tf.math.divide_no_nan(sums, number)


def penalty_sums_by_example(
    penalties: Sequence[Penalty],
    residuals: Sequence[tf.Tensor],
    batch: Batch,
    reduction: str,
    off: Sequence[tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Each penalty summed over the residuals of each example, weighted; and the divisor of the sum over examples.

        s_bk = sum_n w_bn sum_d rho_k(r_kbnd),    ds_bk / dr_kbnd = w_bn psi_k(r_kbnd)

    Args:
        penalties: rho_k and psi_k, K of them.
        residuals: r_k, of each penalty, `[batch, ..., D]` or `[batch]`, float32 or float64.
        batch: its sample weights and mask count.
        reduction: any but "none".
        off: whether each penalty's weight is 0, K times `[batch]`. None: no weight is 0.

    Returns:
        s, `[batch, K]`, and the number, scalar: sum_b s_bk / number are the means of `penalty_means`.

    Raises:
        ValueError: if there are no examples, as the residuals are scalars.
    """
    if not residuals[0].shape.rank:
        raise ValueError("Losses blended by example need predictions of shape [batch, ...]. Received: a scalar")
    weights, number = _weighing(residuals[0], batch, reduction)
    rows, factors = [_row_of_each(one) for one in residuals], [_row_of_each(one) for one in weights]
    columns = None if off is None else [one[:, tf.newaxis] for one in off]
    return _sums(penalties, rows, factors, columns, row_reducer_for(rows[0], by_row=True)), number


def chosen_penalty_mean(
    penalties: Sequence[Penalty], chosen: tf.Tensor, terms: Sequence[tf.Tensor], batch: Batch, reduction: str
) -> tf.Tensor:
    """The mean of penalty number `chosen`; the others are not evaluated, forwards or backwards.

    Args:
        penalties: rho_k and psi_k.
        chosen: k, an integer scalar.
        terms: the residual, or two tensors whose difference it is. XLA writes to memory what it hands to a branch, so
            that two tensors that are in memory already are cheaper than their difference.
        batch: its sample weights and mask count.
        reduction: any but "none".

    Returns:
        l_k, scalar.
    """
    weights, number = _weighing(terms[0], batch, reduction)
    arrays = [one_row(array) for array in (*terms, *weights)]
    count = len(terms)

    def one(function: Callable[..., tf.Tensor], arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.switch_case(chosen, [partial(function, penalty, arrays) for penalty in penalties])

    def weighted(of_it: str, penalty: Penalty, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        residual = reduce(operator.sub, arrays[:count])
        return math.prod(arrays[count:], start=getattr(penalty, of_it)(residual))

    reducer = row_reducer_for(arrays[0], by_row=True)
    if tf.executing_eagerly():  # value and slope at once, since nothing removes what is computed twice
        values = one(partial(weighted, "value"), arrays)
        return tf.math.divide_no_nan(reducer.sum_values([values])[0, 0], number)

    @custom_gradient
    def total(*arrays: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            slope = one(lambda *given: upstream * weighted("slope", *given), arrays)
            found = [slope, -slope][:count]
            if weights:
                found.append(one(lambda *given: upstream * weighted("value", *given), arrays[:count]))
            return found

        def value(penalty: Penalty, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
            return reducer.sum(1, lambda *rows: [weighted("value", penalty, rows)], arrays)[0, 0]

        return one(value, arrays), gradient

    return tf.math.divide_no_nan(total(*arrays), number)


def _weighing(residual: tf.Tensor, batch: Batch, reduction: str) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The factor of each element, in the shape of `residual`, in a list of at most one; and the divisor of the sum."""
    by_example = residual if residual.shape.rank < 2 else tf.zeros(tf.shape(residual)[:-1], residual.dtype)
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    number = number_of(by_example, weights, reduction)
    if residual.shape.rank > 1:
        number = number * tf.cast(tf.shape(residual)[-1], number.dtype)
        weights = weights if weights is None else weights[..., tf.newaxis]
    return [] if weights is None else [tf.broadcast_to(weights, tf.shape(residual))], number


def _row_of_each(array: tf.Tensor) -> tf.Tensor:
    """`array` with one row for each example, `[batch, M]`; M is static if it can be."""
    length = math.prod(array.shape[1:]) if array.shape[1:].is_fully_defined() else tf.reduce_prod(tf.shape(array)[1:])
    return tf.reshape(array, [tf.shape(array)[0], length])


def _sums(
    penalties: Sequence[Penalty],
    residuals: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    off: Sequence[tf.Tensor] | None,
    reducer: RowReducer,
) -> tf.Tensor:
    """sum w rho_k(r_k) of each row, `[rows, K]`; residuals and w, if there is one, are arrays for `reducer`."""
    found = []
    for at in range(0, len(penalties), _TOGETHER):
        group = slice(at, at + _TOGETHER)
        some = None if off is None else off[group]
        found.append(_sums_together(penalties[group], [*residuals[group], *weights], some, reducer))
    return found[0] if len(found) == 1 else tf.concat(found, 1)


def _sums_together(
    penalties: Sequence[Penalty], arrays: Sequence[tf.Tensor], off: Sequence[tf.Tensor] | None, reducer: RowReducer
) -> tf.Tensor:
    """`_sums` of a few penalties."""
    count = len(penalties)

    def each(of_it: str, *given: tf.Tensor) -> list[tf.Tensor]:
        found = [getattr(penalty, of_it)(r) for penalty, r in zip(penalties, given[:count], strict=True)]
        for weight in given[count:]:
            found = [
                (weight if off is None else block_nonfinite_gradient(weight, off[k])) * one
                for k, one in enumerate(found)
            ]
        return found

    if tf.executing_eagerly():  # value and slope at once, since nothing removes what is computed twice
        if off is not None:
            arrays = [*map(block_nonfinite_gradient, arrays[:count], off), *arrays[count:]]
        return reducer.sum_values(each("value", *arrays))

    @custom_gradient
    def sums(*arrays: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            columns = reducer.columns(upstream, count)

            def scaled(found: list[tf.Tensor]) -> list[tf.Tensor]:
                if off is None:
                    return [column * one for column, one in zip(columns, found, strict=True)]
                return [*map(masked_product, columns, found, off)]

            slopes = scaled(each("slope", *arrays))
            if len(arrays) == count:
                return slopes
            residuals = arrays[:count] if off is None else map(block_nonfinite_gradient, arrays[:count], off)
            return [*slopes, tf.add_n(scaled(each("value", *residuals)))]

        return reducer.sum(count, partial(each, "value"), arrays), gradient

    return sums(*arrays)
