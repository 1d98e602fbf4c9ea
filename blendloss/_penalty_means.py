"""Means of penalties over all residuals: one pass for all values, and one for all slopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._batch import Batch
from blendloss._reduction import number_of, weights_of_elements
from blendloss.losses import Penalty

# So many neighbouring values are added first, and only their sums are written to memory. XLA:CPU unrolls a sum of up to
# 32; with more, its vector instructions are lost. It fuses a stack of up to 8 arrays.
_ROW = 32
_STACK = 8


class Pair(NamedTuple):
    """What a residual, y_pred - y_true, is of: `[batch, ..., D]` or `[batch]`, float32 or float64."""

    y_true: tf.Tensor
    y_pred: tf.Tensor


def penalty_means(penalties: Sequence[Penalty], pairs: Sequence[Pair], batch: Batch, reduction: str) -> tf.Tensor:
    """Each penalty averaged over the last axis, weighted and reduced: as `reduce` does with `penalty(y_true, y_pred)`.

        l_k = sum_n w_n / D sum_d rho_k(r_knd) / number,    dl_k / dr_knd = w_n psi_k(r_knd) / (D number)

    Args:
        penalties: rho_k and psi_k, K of them.
        pairs: whose difference is r_k, of each penalty.
        batch: whose sample weights and mask count.
        reduction: any but "none".

    Returns:
        l, `[K]`; 0 for an empty batch.
    """
    groups = [slice(at, at + _STACK) for at in range(0, len(penalties), _STACK)]
    found = [_means(_all(penalties[group]), pairs[group], batch, reduction) for group in groups]
    return found[0] if len(found) == 1 else tf.concat(found, 0)


def chosen_penalty_mean(
    penalties: Sequence[Penalty], chosen: tf.Tensor, pair: Pair, batch: Batch, reduction: str
) -> tf.Tensor:
    """The mean of number `chosen` of `penalties`; the others are not evaluated, forwards or backwards."""

    def one(function: Callable[[Sequence[Penalty]], Any]) -> Any:
        return tf.switch_case(chosen, [partial(function, [penalty]) for penalty in penalties])

    return _means(one, [pair], batch, reduction)[0]


#: Gives what a function gives of the penalties that are meant.
_Of = Callable[[Callable[[Sequence[Penalty]], Any]], Any]


def _all(penalties: Sequence[Penalty]) -> _Of:
    return lambda function: function(penalties)


def _means(of: _Of, pairs: Sequence[Pair], batch: Batch, reduction: str) -> tf.Tensor:
    prediction = pairs[0].y_pred
    by_example = prediction if prediction.shape.rank < 2 else prediction[..., 0]
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    number = number_of(by_example, weights, reduction)
    if prediction.shape.rank > 1:
        number = number * tf.cast(tf.shape(prediction)[-1], number.dtype)
        weights = weights if weights is None else weights[..., tf.newaxis]
    given = [tensor for pair in pairs for tensor in pair]
    if weights is not None:
        given.append(tf.broadcast_to(weights, tf.shape(prediction)))
    return tf.math.divide_no_nan(_sums(of, [tf.reshape(tensor, [-1]) for tensor in given]), number)


def _sums(of: _Of, vectors: Sequence[tf.Tensor]) -> tf.Tensor:
    """sum w rho_k(r_k), `[K]`; `vectors`, `[N]`, are y_true and y_pred of each, and w, if there is one."""

    def values(penalties: Sequence[Penalty], *given: tf.Tensor) -> list[tf.Tensor]:
        return [_weighed(penalty.value(r), given) for penalty, r in zip(penalties, _residuals(given), strict=True)]

    def slopes(penalties: Sequence[Penalty], *given: tf.Tensor) -> list[tf.Tensor]:
        return [_weighed(penalty.slope(r), given) for penalty, r in zip(penalties, _residuals(given), strict=True)]

    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        return _rows(lambda *rows: list(rows), of(lambda penalties: values(penalties, *vectors)))

    @tf.custom_gradient
    def sums(*vectors: tf.Tensor) -> Any:
        # The residuals are those of rows here, and those of vectors below, which XLA does not take for the same: it
        # would write them to memory.
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            found: list[tf.Tensor] = []
            for k, slope in enumerate(of(lambda penalties: slopes(penalties, *vectors))):
                found += [-upstream[k] * slope, upstream[k] * slope]
            if len(vectors) % 2:
                unweighted = of(lambda penalties: values(penalties, *vectors[:-1]))
                found.append(tf.add_n([upstream[k] * value for k, value in enumerate(unweighted)]))
            return found

        return of(lambda penalties: _rows(partial(values, penalties), vectors)), gradient

    return sums(*vectors)


def _residuals(given: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return [y_pred - y_true for y_true, y_pred in zip(given[::2], given[1::2], strict=False)]


def _weighed(values: tf.Tensor, given: Sequence[tf.Tensor]) -> tf.Tensor:
    return values * given[-1] if len(given) % 2 else values


def _rows(function: Callable[..., list[tf.Tensor]], vectors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sums `[K]` of what `function` makes of `vectors`, `[N]`, element by element: K arrays."""
    dtype = vectors[0].dtype
    rows = tf.shape(vectors[0])[0] // _ROW
    heads = [tf.reshape(vector[: rows * _ROW], [rows, _ROW]) for vector in vectors]
    partial_sums = tf.reduce_sum(tf.stack(function(*heads), axis=1), axis=-1)
    tails = tf.stack(function(*(vector[rows * _ROW :] for vector in vectors)))
    total = tf.reduce_sum(tf.cast(partial_sums, tf.float64), axis=0) + tf.reduce_sum(
        tf.cast(tails, tf.float64), axis=-1
    )
    return tf.cast(total, dtype)
