"""Backward passes of single losses in half precision, for which the loss scale is too large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

#: The factor by which a pass that overflows is scaled down, and the most trials: float16 spans 40 powers of 2.
STEP, TRIES = 2.0**-8, 10


def within_range(
    backward: Callable[[Any], Sequence[Any]], worthwhile: Any = True
) -> tuple[list[tf.Tensor | None], tf.Tensor]:
    """The gradients `backward(1.0)`, and whether that pass overflows, a bool scalar.

    If it overflows, the gradients are `backward(factor) / factor` with a smaller factor. The quotient is in float32,
    which holds what float16 inside the pass cannot. A loss scale is chosen for one loss and may be too large for
    another.

    Args:
        backward: a function from a scalar factor to gradients that are proportional to it, or None.
        worthwhile: whether a smaller factor can help, a bool scalar.
    """
    first = list(backward(1.0))
    places = [i for i, gradient in enumerate(first) if gradient is not None]
    known = [first[i] for i in places]
    if not known:
        return first, tf.constant(False)

    def smaller(factor: tf.Tensor, *_: tf.Tensor) -> list[tf.Tensor]:
        factor *= STEP
        found = backward(factor)
        return [factor, *(found[i] / tf.cast(factor, found[i].dtype) for i in places)]

    def overflows(_: tf.Tensor, *gradients: tf.Tensor) -> tf.Tensor:
        return tf.logical_and(worthwhile, ~finite(gradients))

    at_first = overflows(tf.ones([]), *known)
    _, *known = tf.while_loop(overflows, smaller, [tf.ones([]), *known], maximum_iterations=TRIES)
    for place, gradient in zip(places, known, strict=True):
        first[place] = gradient
    return first, at_first


def finite(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether every element of all `tensors` is finite, a bool scalar."""
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors]))
