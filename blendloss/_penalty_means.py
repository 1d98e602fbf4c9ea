"""Means of penalties over all residuals: few passes for values, one for slopes; on a GPU often one for both.

In a graph the slopes are evaluated from the residuals, not kept from the values: under XLA that is cheaper than memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
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
# On a GPU rows may be long: their sums hardly count then. In float32 so many still add up accurately on any device.
_GPU_ROW = 1024


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
    found = []
    for at in range(0, len(penalties), _TOGETHER):
        group = slice(at, at + _TOGETHER)
        some = None if off is None else off[group]
        found.append(_means(_all(penalties[group]), residuals[group], batch, reduction, some))
    return found[0] if len(found) == 1 else tf.concat(found, 0)


def chosen_penalty_mean(
    penalties: Sequence[Penalty], chosen: tf.Tensor, residual: tf.Tensor, batch: Batch, reduction: str
) -> tf.Tensor:
    """The mean of number `chosen` of `penalties`; the others are not evaluated, forwards or backwards."""

    def one(function: Callable[[Sequence[Penalty]], Any]) -> Any:
        return tf.switch_case(chosen, [partial(function, [penalty]) for penalty in penalties])

    return _means(one, [residual], batch, reduction, None)[0]


#: Gives what a function gives of the penalties that are meant.
_Of = Callable[[Callable[[Sequence[Penalty]], Any]], Any]


def _all(penalties: Sequence[Penalty]) -> _Of:
    return lambda function: function(penalties)


def _means(
    of: _Of, residuals: Sequence[tf.Tensor], batch: Batch, reduction: str, off: Sequence[tf.Tensor] | None
) -> tf.Tensor:
    residual = residuals[0]
    by_example = residual if residual.shape.rank < 2 else tf.zeros(tf.shape(residual)[:-1], residual.dtype)
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    number = number_of(by_example, weights, reduction)
    if residual.shape.rank > 1:
        number = number * tf.cast(tf.shape(residual)[-1], number.dtype)
        weights = weights if weights is None else weights[..., tf.newaxis]
    given = [] if weights is None else [tf.broadcast_to(weights, tf.shape(residual))]
    return tf.math.divide_no_nan(_sums(of, len(residuals), [*residuals, *given], off), number)


def _sums(of: _Of, count: int, arrays: Sequence[tf.Tensor], off: Sequence[tf.Tensor] | None) -> tf.Tensor:
    """sum w rho_k(r_k), `[K]`; `arrays`, of one shape, are `count` residuals, and w, if there is one."""

    def each(of_it: str, penalties: Sequence[Penalty], *given: tf.Tensor) -> list[tf.Tensor]:
        found = [getattr(penalty, of_it)(r) for penalty, r in zip(penalties, given[:count], strict=True)]
        for weight in given[count:]:
            found = [(weight if off is None else switched(weight, off[k])) * one for k, one in enumerate(found)]
        return found

    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        if off is not None:
            arrays = [*map(switched, arrays[:count], off), *arrays[count:]]
        return _summed_together(lambda *rows: list(rows), of(lambda penalties: each("value", penalties, *arrays)), 1)
    summed = _way_to_sum(count, arrays[0])

    @tf.custom_gradient
    def sums(*arrays: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            def scaled(found: list[tf.Tensor]) -> list[tf.Tensor]:
                if off is None:
                    return [upstream[k] * one for k, one in enumerate(found)]
                return [switched_product(upstream[k], one, off[k]) for k, one in enumerate(found)]

            slopes = of(lambda penalties: scaled(each("slope", penalties, *arrays)))
            if len(arrays) == count:
                return slopes
            residuals = arrays[:count] if off is None else map(switched, arrays[:count], off)
            return [*slopes, of(lambda penalties: tf.add_n(scaled(each("value", penalties, *residuals))))]

        return of(lambda penalties: summed(partial(each, "value", penalties), arrays)), gradient

    return sums(*arrays)


def _on_gpu(tensor: tf.Tensor) -> bool:
    """Whether a tensor of a graph is computed on a GPU, as far as can be known while it is traced."""
    kind = tf.DeviceSpec.from_string(tensor.device).device_type
    return kind == "GPU" if kind else bool(tf.config.get_visible_devices("GPU"))


_Function = Callable[..., list[tf.Tensor]]


def _way_to_sum(count: int, array: tf.Tensor) -> Callable[[_Function, Sequence[tf.Tensor]], tf.Tensor]:
    """How `count` penalties are summed where `array` is."""
    if _on_gpu(array):
        return _summed_in_pairs
    return partial(_summed_together, parts=_PARTS if count > 1 else _PARTS_OF_ONE)


def _summed_together(function: _Function, arrays: Sequence[tf.Tensor], parts: int) -> tf.Tensor:
    """The sums `[K]` of what `function` makes of `arrays`, element by element: K arrays. In stacks, for XLA:CPU."""
    rows, rest = zip(*[_rows(array, parts * _PART) for array in arrays], strict=True)
    values = function(*[tf.reshape(row, [-1, parts, _PART]) for row in rows])
    added = [tf.add_n(tf.unstack(value, parts, axis=1)) for value in values]
    beyond = function(*rest)
    stacks = math.ceil(len(added) / _STACK)
    size = math.ceil(len(added) / stacks)
    totals = []
    for at in range(0, len(added), size):
        sums = tf.reduce_sum(tf.stack(added[at : at + size], axis=1), axis=-1)
        totals.append(_total(sums, 0, tf.stack(beyond[at : at + size])))
    return totals[0] if stacks == 1 else tf.concat(totals, 0)


def _summed_in_pairs(function: _Function, arrays: Sequence[tf.Tensor]) -> tf.Tensor:
    """As `_summed_together`, two as the parts of complex numbers: XLA:GPU makes one kernel of all and of the slopes."""
    values = function(*arrays)
    even = [*values, *[tf.zeros_like(values[0])] * (len(values) % 2)]
    pairs = [tf.complex(*pair) for pair in zip(even[::2], even[1::2], strict=True)]
    rows, rest = zip(*[_rows(pair, _GPU_ROW) for pair in pairs], strict=True)
    sums, beyond = tf.stack([tf.reduce_sum(row, axis=-1) for row in rows]), tf.stack(rest)
    return _total(_parts(sums), 1, _parts(beyond))[: len(values)]


def _parts(pairs: tf.Tensor) -> tf.Tensor:
    """Real and imaginary parts, of `[P, n]` pairs: `[2 P, n]`."""
    parts = tf.stack([tf.math.real(pairs), tf.math.imag(pairs)], axis=1)
    return tf.reshape(parts, [2 * pairs.shape[0], tf.shape(pairs)[-1]])


def _rows(array: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`array` as `[rows, length]`, and the rest `[< length]`."""
    flat = tf.reshape(array, [-1])
    rows = tf.shape(flat)[0] // length
    return tf.reshape(flat[: rows * length], [rows, length]), flat[rows * length :]


def _total(sums: tf.Tensor, axis: int, rest: tf.Tensor) -> tf.Tensor:
    """`[K]`: `sums` of rows, added over an `axis`, and the `rest`, `[K, < length]`."""
    total = tf.reduce_sum(tf.cast(sums, tf.float64), axis) + tf.reduce_sum(tf.cast(rest, tf.float64), axis=-1)
    return tf.cast(total, sums.dtype)
