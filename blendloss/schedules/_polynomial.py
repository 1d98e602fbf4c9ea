"""A ramp whose distance to the end shrinks like a power."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.checks import positive
from blendloss.schedules._ramp import ramp
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Value


@factory
def polynomial(start: Value, end: Value, *, steps: int, power: float, begin: int = 0) -> Schedule:
    """A ramp from `start` to `end` whose distance to `end` shrinks like a power of the remaining steps.

        end + (start - end) (1 - u)^power,   u = (step - begin) / steps in [0, 1]

    The value is exactly `start` up to `begin` and exactly `end` from `begin + steps` on. With
    `power` 1 it is `linear`. A larger power changes the value earlier, a smaller one later.

    Args:
        start: the value up to `begin`; a finite number, or a list of K finite numbers.
        end: the value from `begin + steps` on, in the shape of `start`.
        steps: the length of the ramp in steps, an integer of at least 1. The paper's max_iter.
        power: the exponent, a positive float.
        begin: the step at which the ramp starts, an integer; negative for a ramp that started before step 0.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if an argument is not a number (`start`, `end`: a list of them), `steps` or `begin` not an integer.
        ValueError: if a number is not finite in float32, the shapes differ, `steps` is below 1, or `power` is not
            positive.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.polynomial(1.0, 0.0, steps=4, power=2.0)
        >>> [float(schedule(step)) for step in (0, 2, 4)]
        [1.0, 0.25, 0.0]

    References:
        Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
        Connected CRFs", TPAMI 2018, section 4.1 ("poly", arXiv:1606.00915).

    Deviations:
        `end` may differ from 0, as in `keras.optimizers.schedules.PolynomialDecay`. There is no `cycle`; `cyclic` adds
        it.
    """
    return ramp("polynomial", _curve, start, end, steps, begin, power=positive("power", power))


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor, power: float) -> tf.Tensor:
    log_left = power * tf.math.log1p(-fraction)
    return start * tf.exp(log_left) - end * tf.math.expm1(log_left)  # accurate near both ends
