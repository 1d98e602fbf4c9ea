"""Means of penalties over all residuals: one pass for all values, and one for all slopes; on a GPU often one for both.

In a graph the slopes are evaluated from the residuals, not kept from the values: under XLA that is cheaper than memory.
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
# On a GPU rows may be long: their sums hardly count then. In float32 so many still add up accurately on any device.
_GPU_ROW = 1024


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
    given = [] if weights is None else [tf.broadcast_to(weights, tf.shape(residual))]
    return tf.math.divide_no_nan(_sums(of, len(residuals), [*residuals, *given]), number)


def _sums(of: _Of, count: int, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
    """sum w rho_k(r_k), `[K]`; `arrays`, of one shape, are `count` residuals, and w, if there is one."""

    def each(of_it: str, penalties: Sequence[Penalty], *given: tf.Tensor) -> list[tf.Tensor]:
        found = [getattr(penalty, of_it)(r) for penalty, r in zip(penalties, given[:count], strict=True)]
        return [weight * one for one in found for weight in given[count:]] or found

    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        return _summed_together(lambda *rows: list(rows), of(lambda penalties: each("value", penalties, *arrays)))
    summed = _summed_apart if _on_gpu(arrays[0]) else _summed_together

    @tf.custom_gradient
    def sums(*arrays: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            def scaled(found: list[tf.Tensor]) -> list[tf.Tensor]:
                return [upstream[k] * one for k, one in enumerate(found)]

            slopes = of(lambda penalties: scaled(each("slope", penalties, *arrays)))
            if len(arrays) == count:
                return slopes
            return [*slopes, of(lambda penalties: tf.add_n(scaled(each("value", penalties, *arrays[:count]))))]

        return of(lambda penalties: summed(partial(each, "value", penalties), arrays)), gradient

    return sums(*arrays)


def _on_gpu(tensor: tf.Tensor) -> bool:
    """Whether a tensor of a graph is computed on a GPU, as far as can be known while it is traced."""
    kind = tf.DeviceSpec.from_string(tensor.device).device_type
    return kind == "GPU" if kind else bool(tf.config.get_visible_devices("GPU"))


_Function = Callable[..., list[tf.Tensor]]


def _summed_together(function: _Function, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sums `[K]` of what `function` makes of `arrays`, element by element: K arrays. One stack, for XLA:CPU."""
    rows, rest = zip(*[_rows(array, _ROW) for array in arrays], strict=True)
    sums = tf.reduce_sum(tf.stack(function(*rows), axis=1), axis=-1)
    return _total(sums, 0, tf.stack(function(*rest)))


def _summed_apart(function: _Function, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
    """As `_summed_together`, each of the K arrays by itself: XLA:GPU makes one kernel of them and of the slopes."""
    rows, rest = zip(*[_rows(array, _GPU_ROW) for array in function(*arrays)], strict=True)
    sums = tf.stack([tf.reduce_sum(row, axis=-1) for row in rows])
    return _total(sums, 1, tf.stack(rest))


def _rows(array: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`array` as `[rows, length]`, and the rest `[< length]`."""
    flat = tf.reshape(array, [-1])
    rows = tf.shape(flat)[0] // length
    return tf.reshape(flat[: rows * length], [rows, length]), flat[rows * length :]


def _total(sums: tf.Tensor, axis: int, rest: tf.Tensor) -> tf.Tensor:
    """`[K]`: `sums` of rows, added over an `axis`, and the `rest`, `[K, < length]`."""
    total = tf.reduce_sum(tf.cast(sums, tf.float64), axis) + tf.reduce_sum(tf.cast(rest, tf.float64), axis=-1)
    return tf.cast(total, sums.dtype)
