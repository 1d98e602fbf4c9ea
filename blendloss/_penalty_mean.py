"""The mean of a penalty over all residuals: a pass for the value, and a pass for the slope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from blendloss._batch import Batch
from blendloss._reduction import accurate_sum, number_of, weights_of_elements
from blendloss.losses import Penalty

# So many parts of the residuals are evaluated and added element by element before anything is written to memory. More
# save little, and take long to compile. Fewer residuals than `_FEW` are in the cache anyway.
_PARTS = 4
_FEW = 2**13


#: Gives what a function of a penalty gives of the one that is meant.
Pick = Callable[[Callable[[Penalty], tf.Tensor]], tf.Tensor]


def penalty_mean(penalty: Penalty, residual: tf.Tensor, batch: Batch, reduction: str) -> tf.Tensor:
    """The penalty averaged over the last axis, weighted and reduced: what `reduce` makes of `penalty(y_true, y_pred)`.

        sum_n w_n / D sum_d rho(r_nd) / number,    d / dr_nd = w_n psi(r_nd) / (D number)

    Args:
        penalty: rho and psi.
        residual: r, `[batch, ..., D]` or `[batch]`, float32 or float64.
        batch: whose sample weights and mask count.
        reduction: any but "none".

    Returns:
        A scalar; 0 for an empty batch.
    """
    return _mean(lambda function: function(penalty), residual, batch, reduction)


def chosen_penalty_mean(
    penalties: Sequence[Penalty], chosen: tf.Tensor, residual: tf.Tensor, batch: Batch, reduction: str
) -> tf.Tensor:
    """`penalty_mean` of number `chosen` of `penalties`; the others are not evaluated, forwards or backwards."""

    def pick(function: Callable[[Penalty], tf.Tensor]) -> tf.Tensor:
        return tf.switch_case(chosen, [partial(function, penalty) for penalty in penalties])

    return _mean(pick, residual, batch, reduction)


def _mean(pick: Pick, residual: tf.Tensor, batch: Batch, reduction: str) -> tf.Tensor:
    by_example = residual if residual.shape.rank < 2 else residual[..., 0]
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    number = number_of(by_example, weights, reduction)
    if residual.shape.rank > 1:
        number = number * tf.cast(tf.shape(residual)[-1], number.dtype)
        weights = weights if weights is None else weights[..., tf.newaxis]
    return tf.math.divide_no_nan(_total(pick, residual, weights), number)


def _total(pick: Pick, residual: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """sum w rho(r)."""
    given = [] if weights is None else [tf.reshape(tf.broadcast_to(weights, tf.shape(residual)), [-1])]
    residual = tf.reshape(residual, [-1])
    if tf.executing_eagerly():  # value and slope at once: nothing removes what is computed twice
        return accurate_sum(_weighed(pick(lambda penalty: penalty.value(residual)), *given))

    @tf.custom_gradient
    def total(residual: tf.Tensor, *given: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            slope = pick(lambda penalty: penalty.slope(residual))
            value = pick(lambda penalty: penalty.value(residual)) if given else None
            return upstream * _weighed(slope, *given), *(upstream * value for _ in given)

        def folded(penalty: Penalty) -> tf.Tensor:
            return _folded(lambda r, *w: _weighed(penalty.value(r), *w), residual, *given)

        return pick(folded), gradient

    return total(residual, *given)


def _weighed(values: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    return values if weights is None else values * weights


def _folded(function: Any, *vectors: tf.Tensor) -> tf.Tensor:
    """The sum of an elementwise function of `vectors`, `[N]`.

    XLA:CPU fuses an elementwise function into the addition of a few slices, but into a reduction only at the price of
    its vector instructions.
    """
    length = vectors[0].shape[0]
    if length is not None and length < _FEW:
        return accurate_sum(function(*vectors))
    part = tf.shape(vectors[0])[0] // _PARTS
    parts = [function(*(vector[n * part : (n + 1) * part] for vector in vectors)) for n in range(_PARTS)]
    while len(parts) > 1:
        parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return accurate_sum(parts[0]) + accurate_sum(function(*(vector[_PARTS * part :] for vector in vectors)))
