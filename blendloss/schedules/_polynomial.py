"""A ramp whose rest shrinks like a power."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.checks import positive
from blendloss.schedules._ramp import ramp
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Value


@factory
def polynomial(start: Value, end: Value, *, steps: int, power: float, begin: int = 0) -> Schedule:
    """A ramp from `start` to `end` whose distance to `end` shrinks like a power of the steps that are left.

        end + (start - end) (1 - u)^power,   u = (step - begin) / steps in [0, 1]

    The value is exactly `start` up to `begin` and exactly `end` from `begin + steps` on. `power` 1 is `linear`; above
    1 it moves early, below 1 late.

    Args:
        start: the value up to `begin`; a finite number, or K of them.
        end: the value from `begin + steps` on; of `start`'s shape.
        steps: how many steps the ramp takes, at least 1. The paper's max_iter.
        power: positive.
        begin: the step at which it starts to move; negative for a ramp already on its way at step 0.

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
        An `end` other than 0, as in `keras.optimizers.schedules.PolynomialDecay`; no `cycle`, which `cyclic` adds.
    """
    return ramp("polynomial", _curve, start, end, steps, begin, power=positive("power", power))


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor, power: float) -> tf.Tensor:
    log_left = power * tf.math.log1p(-fraction)
    return start * tf.exp(log_left) - end * tf.math.expm1(log_left)  # accurate near both ends
