"""Sums of penalties, over all residuals or over those of each example: few passes for values, one for slopes.

On a GPU it is often one pass for both.

In a graph the slopes are evaluated from the residuals, not kept from the values: under XLA that is cheaper than memory.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import tensorflow as tf

from blendloss._batch import Batch
from blendloss._combine import switched, switched_product
from blendloss._reduction import number_of, weights_of_elements
from blendloss.losses import Penalty

# XLA fuses this many losses' values, or slopes, at the most.
_TOGETHER = 8
# On a processor so many neighbouring values, as parts of a row, are added first, and only their sums are written to
# memory. XLA:CPU fuses sums of up to 32, and stacks; with fewer parts or larger stacks it computes simple penalties
# without vector instructions. Of a single penalty it writes the sums of parts: the more parts, the less.
_PARTS, _PARTS_OF_ONE, _PART = 3, 8, 32
_STACK = 4
# What is left of a row is written, in float64, before it is added. Of a row that is not longer, that counts.
_SHORT = 4096
# On a GPU rows may be long: their sums hardly count then. In float32 so many still add up accurately on any device.
_GPU_ROW = 1024
# XLA:GPU reduces rows that are shorter number by number, and then pairs are more to read.
_GPU_WARP = 32

_Function = Callable[..., list[tf.Tensor]]
_InRows = Callable[[tf.Tensor], tf.Tensor]


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
        batch: whose sample weights and mask count.
        reduction: any but "none".
        off: whether each penalty's weight is 0, K bool scalars: then what is not finite does not flow back from it, as
            of `switched`. None is none.

    Returns:
        l, `[K]`; 0 for an empty batch.
    """
    weights, number = _weighing(residuals[0], batch, reduction)
    return tf.math.divide_no_nan(_sums(penalties, residuals, weights, off, _one_row)[0], number)


def penalty_sums_by_example(
    penalties: Sequence[Penalty],
    residuals: Sequence[tf.Tensor],
    batch: Batch,
    reduction: str,
    off: Sequence[tf.Tensor] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Each penalty summed over all that one example has, weighted; and what the sum over examples is divided by.

        s_bk = sum_n w_bn sum_d rho_k(r_kbnd),    ds_bk / dr_kbnd = w_bn psi_k(r_kbnd)

    Args:
        penalties: as of `penalty_means`.
        residuals: as of `penalty_means`.
        batch: as of `penalty_means`.
        reduction: as of `penalty_means`.
        off: whether each penalty's weight is 0, K times `[batch]`. None is none.

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
    return _sums(penalties, rows, factors, columns, tf.identity), number


def chosen_penalty_mean(
    penalties: Sequence[Penalty], chosen: tf.Tensor, terms: Sequence[tf.Tensor], batch: Batch, reduction: str
) -> tf.Tensor:
    """The mean of penalty number `chosen`; the others are not evaluated, forwards or backwards.

    Args:
        penalties: rho_k and psi_k.
        chosen: k, an integer scalar.
        terms: the residual, as those of `penalty_means`, or two tensors of which it is the difference. XLA writes to
            memory what a branch is handed: two that are there already are better handed over themselves.
        batch: whose sample weights and mask count.
        reduction: any but "none".

    Returns:
        l_k, scalar.
    """
    weights, number = _weighing(terms[0], batch, reduction)
    arrays = [_one_row(array) for array in (*terms, *weights)]
    count = len(terms)

    def one(function: Callable[..., tf.Tensor], arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.switch_case(chosen, [partial(function, penalty, arrays) for penalty in penalties])

    def weighted(of_it: str, penalty: Penalty, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
        residual = reduce(operator.sub, arrays[:count])
        return math.prod(arrays[count:], start=getattr(penalty, of_it)(residual))

    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        values = one(partial(weighted, "value"), arrays)
        return tf.math.divide_no_nan(_summed_together(lambda *rows: list(rows), [values], tf.identity, 1)[0, 0], number)
    summed = _way_to_sum(1, arrays[0], tf.identity)

    @tf.custom_gradient
    def total(*arrays: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            slope = one(lambda *given: upstream * weighted("slope", *given), arrays)
            found = [slope, -slope][:count]
            if weights:
                found.append(one(lambda *given: upstream * weighted("value", *given), arrays[:count]))
            return found

        def value(penalty: Penalty, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
            return summed(lambda *rows: [weighted("value", penalty, rows)], arrays)[0, 0]

        return one(value, arrays), gradient

    return tf.math.divide_no_nan(total(*arrays), number)


def _weighing(residual: tf.Tensor, batch: Batch, reduction: str) -> tuple[list[tf.Tensor], tf.Tensor]:
    """What each element is multiplied by, in the shape of `residual`, if by anything; what their sum is divided by."""
    by_example = residual if residual.shape.rank < 2 else tf.zeros(tf.shape(residual)[:-1], residual.dtype)
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    number = number_of(by_example, weights, reduction)
    if residual.shape.rank > 1:
        number = number * tf.cast(tf.shape(residual)[-1], number.dtype)
        weights = weights if weights is None else weights[..., tf.newaxis]
    return [] if weights is None else [tf.broadcast_to(weights, tf.shape(residual))], number


def _one_row(array: tf.Tensor) -> tf.Tensor:
    """All of it in one row, `[1, M]`."""
    return tf.reshape(array, [1, -1])


def _row_of_each(array: tf.Tensor) -> tf.Tensor:
    """A row of each example, `[batch, M]`; of a length that is known where it can be."""
    length = math.prod(array.shape[1:]) if array.shape[1:].is_fully_defined() else tf.reduce_prod(tf.shape(array)[1:])
    return tf.reshape(array, [tf.shape(array)[0], length])


def _sums(
    penalties: Sequence[Penalty],
    residuals: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    off: Sequence[tf.Tensor] | None,
    in_rows: _InRows,
) -> tf.Tensor:
    """sum w rho_k(r_k), `[rows, K]`, of the rows that residuals, and w, if there is one, are, or are one of."""
    found = []
    for at in range(0, len(penalties), _TOGETHER):
        group = slice(at, at + _TOGETHER)
        some = None if off is None else off[group]
        found.append(_sums_together(penalties[group], [*residuals[group], *weights], some, in_rows))
    return found[0] if len(found) == 1 else tf.concat(found, 1)


def _sums_together(
    penalties: Sequence[Penalty], arrays: Sequence[tf.Tensor], off: Sequence[tf.Tensor] | None, in_rows: _InRows
) -> tf.Tensor:
    """`_sums` of a few penalties."""
    count = len(penalties)

    def each(of_it: str, *given: tf.Tensor) -> list[tf.Tensor]:
        found = [getattr(penalty, of_it)(r) for penalty, r in zip(penalties, given[:count], strict=True)]
        for weight in given[count:]:
            found = [(weight if off is None else switched(weight, off[k])) * one for k, one in enumerate(found)]
        return found

    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        if off is not None:
            arrays = [*map(switched, arrays[:count], off), *arrays[count:]]
        return _summed_together(lambda *rows: list(rows), each("value", *arrays), in_rows, 1)
    summed = _way_to_sum(count, arrays[0], in_rows)

    @tf.custom_gradient
    def sums(*arrays: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            # Scalars, of one row: XLA:GPU's kernel of values and slopes ends where the slopes are reshaped.
            columns = tf.unstack(upstream[0]) if in_rows is _one_row else tf.split(upstream, count, axis=1)

            def scaled(found: list[tf.Tensor]) -> list[tf.Tensor]:
                if off is None:
                    return [column * one for column, one in zip(columns, found, strict=True)]
                return [*map(switched_product, columns, found, off)]

            slopes = scaled(each("slope", *arrays))
            if len(arrays) == count:
                return slopes
            residuals = arrays[:count] if off is None else map(switched, arrays[:count], off)
            return [*slopes, tf.add_n(scaled(each("value", *residuals)))]

        return summed(partial(each, "value"), arrays), gradient

    return sums(*arrays)


def _on_gpu(tensor: tf.Tensor) -> bool:
    """Whether a tensor of a graph is computed on a GPU, as far as can be known while it is traced."""
    kind = tf.DeviceSpec.from_string(tensor.device).device_type
    return kind == "GPU" if kind else bool(tf.config.get_visible_devices("GPU"))


def _way_to_sum(
    count: int, array: tf.Tensor, in_rows: _InRows
) -> Callable[[_Function, Sequence[tf.Tensor]], tf.Tensor]:
    """How `count` penalties are summed where `array` is."""
    if _on_gpu(array):
        length = in_rows(array).shape[1]
        short = length is not None and length < _GPU_WARP
        return partial(_summed_apart if short else _summed_in_pairs, in_rows=in_rows)
    return partial(_summed_together, in_rows=in_rows, parts=_PARTS if count > 1 else _PARTS_OF_ONE)


def _summed_together(function: _Function, arrays: Sequence[tf.Tensor], in_rows: _InRows, parts: int) -> tf.Tensor:
    """Sums of rows, `[rows, K]`, of what `function` makes of `arrays` by element: K arrays. In stacks, for XLA:CPU."""
    arrays = [in_rows(array) for array in arrays]
    length = arrays[0].shape[1]
    parts = parts if length is None else _parts_of(length, parts)
    size = parts * _PART
    added, rest = [], []
    if size:
        pieces = function(*[tf.reshape(_pieces(array, size), [-1, parts, _PART]) for array in arrays])
        added = [tf.add_n(tf.unstack(piece, parts, axis=1)) for piece in pieces]
    if length is None or not size or length % size:
        rest = function(*[_rest(array, size) for array in arrays])
    count = max(len(added), len(rest))
    stack = math.ceil(count / math.ceil(count / _STACK))
    totals = []
    for at in range(0, count, stack):
        total = []
        if added:
            sums = tf.reduce_sum(tf.stack(added[at : at + stack], axis=1), axis=-1)
            total.append(_total(_by_row(sums, arrays[0], size), 1))
        if rest:
            total.append(_total(tf.stack(rest[at : at + stack], axis=1), -1))
        totals.append(tf.cast(tf.add_n(total), arrays[0].dtype))
    return totals[0] if len(totals) == 1 else tf.concat(totals, 1)


def _parts_of(length: int, most: int) -> int:
    """Into how many parts of a piece a row is cut: so many that nothing is left of a short row, where that can be."""
    most = min(most, length // _PART)
    if length > _SHORT:
        return most
    return next((parts for parts in range(most, 1, -1) if length % (parts * _PART) == 0), most)


def _summed_in_pairs(function: _Function, arrays: Sequence[tf.Tensor], in_rows: _InRows) -> tf.Tensor:
    """As `_summed_together`, two as the parts of complex numbers: XLA:GPU makes one kernel of all and of the slopes."""
    values = function(*arrays)
    even = [*values, *[tf.zeros_like(values[0])] * (len(values) % 2)]
    pairs = [in_rows(tf.complex(*pair)) for pair in zip(even[::2], even[1::2], strict=True)]
    length = pairs[0].shape[1]
    size = _GPU_ROW if length is None else min(_GPU_ROW, length)
    sums = _parts(tf.stack([tf.reduce_sum(_pieces(pair, size), axis=-1) for pair in pairs]))
    total = _total(_by_row(tf.transpose(sums), pairs[0], size), 1)
    if length is None or length % size:
        total += tf.transpose(_total(_parts(tf.stack([_rest(pair, size) for pair in pairs])), -1))
    return tf.cast(total, arrays[0].dtype)[:, : len(values)]


def _summed_apart(function: _Function, arrays: Sequence[tf.Tensor], in_rows: _InRows) -> tf.Tensor:
    """As `_summed_together`, of short rows."""
    return tf.stack([tf.reduce_sum(in_rows(values), axis=1) for values in function(*arrays)], axis=1)


def _parts(pairs: tf.Tensor) -> tf.Tensor:
    """Real and imaginary parts, of `[P, ...]` pairs: `[2 P, ...]`."""
    parts = tf.stack([tf.math.real(pairs), tf.math.imag(pairs)], axis=1)
    return tf.reshape(parts, tf.concat([[2 * pairs.shape[0]], tf.shape(pairs)[1:]], 0))


def _pieces(array: tf.Tensor, size: int) -> tf.Tensor:
    """The pieces of `size` that rows are cut into, `[pieces, size]`, without what is left of each row."""
    return tf.reshape(array[:, : tf.shape(array)[1] // size * size], [-1, size])


def _rest(array: tf.Tensor, size: int) -> tf.Tensor:
    """What is left of each row, `[rows, < size]`; all of it, if there are no pieces."""
    return array[:, tf.shape(array)[1] // size * size :] if size else array


def _by_row(sums: tf.Tensor, array: tf.Tensor, size: int) -> tf.Tensor:
    """`sums` of pieces of `array`, `[pieces, K]`, by row: `[rows, pieces of a row, K]`."""
    shape = tf.shape(array)
    return tf.reshape(sums, [shape[0], shape[1] // size, tf.shape(sums)[1]])


def _total(values: tf.Tensor, axis: int) -> tf.Tensor:
    """The sum over an axis, added in float64 and left so."""
    return tf.reduce_sum(tf.cast(values, tf.float64), axis)
