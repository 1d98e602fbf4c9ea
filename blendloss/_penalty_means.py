"""Means of penalties over all residuals: one pass for all values, and one for all slopes.

The slopes are evaluated from the residuals, not kept from the values: under XLA that is cheaper than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from blendloss._batch import Batch
from blendloss._reduction import number_of, weights_of_elements
from blendloss.losses import Penalty

# So many neighbouring values are added first, and only their sums are written to memory. XLA:CPU unrolls a sum of up to
# 32; with more, its vector instructions are lost. It fuses a stack of up to 8 arrays.
_ROW = 32
_STACK = 8


def penalty_means(
    penalties: Sequence[Penalty], residuals: Sequence[tf.Tensor], batch: Batch, reduction: str
) -> tf.Tensor:
    """Each penalty averaged over the last axis, weighted and reduced: as `reduce` does with `penalty(y_true, y_pred)`.

        l_k = sum_n w_n / D sum_d rho_k(r_knd) / number,    dl_k / dr_knd = w_n psi_k(r_knd) / (D number)

    Args:
        penalties: rho_k and psi_k, K of them.
        residuals: r_k, of each penalty, `[batch, ..., D]` or `[batch]`, float32 or float64.
        batch: whose sample weights and mask count.
        reduction: any but "none".

    Returns:
        l, `[K]`; 0 for an empty batch.
    """
    groups = [slice(at, at + _STACK) for at in range(0, len(penalties), _STACK)]
    found = [_means(_all(penalties[group]), residuals[group], batch, reduction) for group in groups]
    return found[0] if len(found) == 1 else tf.concat(found, 0)


def chosen_penalty_mean(
    penalties: Sequence[Penalty], chosen: tf.Tensor, residual: tf.Tensor, batch: Batch, reduction: str
) -> tf.Tensor:
    """The mean of number `chosen` of `penalties`; the others are not evaluated, forwards or backwards."""

    def one(function: Callable[[Sequence[Penalty]], Any]) -> Any:
        return tf.switch_case(chosen, [partial(function, [penalty]) for penalty in penalties])

    return _means(one, [residual], batch, reduction)[0]


#: Gives what a function gives of the penalties that are meant.
_Of = Callable[[Callable[[Sequence[Penalty]], Any]], Any]


def _all(penalties: Sequence[Penalty]) -> _Of:
    return lambda function: function(penalties)


def _means(of: _Of, residuals: Sequence[tf.Tensor], batch: Batch, reduction: str) -> tf.Tensor:
    residual = residuals[0]
    by_example = residual if residual.shape.rank < 2 else tf.zeros(tf.shape(residual)[:-1], residual.dtype)
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    number = number_of(by_example, weights, reduction)
    if residual.shape.rank > 1:
        number = number * tf.cast(tf.shape(residual)[-1], number.dtype)
        weights = weights if weights is None else weights[..., tf.newaxis]
    given = [] if weights is None else [tf.reshape(tf.broadcast_to(weights, tf.shape(residual)), [-1])]
    sums = _sums(of, len(residuals), [*(tf.reshape(residual, [-1]) for residual in residuals), *given])
    return tf.math.divide_no_nan(sums, number)


def _sums(of: _Of, count: int, vectors: Sequence[tf.Tensor]) -> tf.Tensor:
    """sum w rho_k(r_k), `[K]`; `vectors`, `[N]`, are `count` residuals, and w, if there is one."""

    def each(of_it: str, penalties: Sequence[Penalty], *given: tf.Tensor) -> list[tf.Tensor]:
        found = [getattr(penalty, of_it)(r) for penalty, r in zip(penalties, given[:count], strict=True)]
        return [weight * one for one in found for weight in given[count:]] or found

    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        return _rows(lambda *rows: list(rows), of(lambda penalties: each("value", penalties, *vectors)))

    @tf.custom_gradient
    def sums(*vectors: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            slopes = of(lambda penalties: each("slope", penalties, *vectors))
            found = [upstream[k] * slope for k, slope in enumerate(slopes)]
            if len(vectors) > count:
                values = of(lambda penalties: each("value", penalties, *vectors[:count]))
                found.append(tf.add_n([upstream[k] * value for k, value in enumerate(values)]))
            return found

        return of(lambda penalties: _rows(partial(each, "value", penalties), vectors)), gradient

    return sums(*vectors)


def _rows(function: Callable[..., list[tf.Tensor]], vectors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sums `[K]` of what `function` makes of `vectors`, `[N]`, element by element: K arrays."""
    dtype = vectors[0].dtype
    rows = tf.shape(vectors[0])[0] // _ROW
    heads = [tf.reshape(vector[: rows * _ROW], [rows, _ROW]) for vector in vectors]
    partial_sums = tf.reduce_sum(tf.stack(function(*heads), axis=1), axis=-1)
    tails = tf.stack(function(*(vector[rows * _ROW :] for vector in vectors)))
    total = tf.reduce_sum(tf.cast(partial_sums, tf.float64), axis=0)
    return tf.cast(total + tf.reduce_sum(tf.cast(tails, tf.float64), axis=-1), dtype)
