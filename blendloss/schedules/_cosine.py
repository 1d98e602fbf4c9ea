"""A ramp with slope 0 at both ends."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss.schedules._ramp import ramp
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Value


@factory
def cosine(start: Value, end: Value, *, steps: int, begin: int = 0) -> Schedule:
    """Half a period of the cosine, from `start` to `end`.

        start + (end - start) (1 - cos(pi u)) / 2,   u = (step - begin) / steps in [0, 1]

    The value is exactly `start` up to `begin` and exactly `end` from `begin + steps` on.

    Args:
        start: the value up to `begin`; a finite number, or a list of K finite numbers.
        end: the value from `begin + steps` on, in the shape of `start`. `start` and `end` are the paper's eta_max and
            eta_min.
        steps: the length of the ramp in steps, an integer of at least 1. The paper's T_i.
        begin: the step at which the ramp starts, an integer; negative for a ramp that started before step 0.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `start` or `end` is neither a number nor a list of numbers, or `steps` or `begin` is not an
            integer.
        ValueError: if a number is not finite in float32, the shapes differ, or `steps` is below 1.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.cosine(1.0, 0.0, steps=1000)
        >>> [round(float(schedule(step)), 3) for step in (0, 250, 500, 1000)]
        [1.0, 0.854, 0.5, 0.0]

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, eq. 5
        (arXiv:1608.03983).

    Deviations:
        No restarts; `cyclic` adds them. The value is computed from cos^2 and sin^2 of pi u / 2, which are accurate near
        both ends, where 1 - cos cancels.
    """
    return ramp("cosine", _curve, start, end, steps, begin)


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    angle = 0.5 * math.pi * fraction
    return start * tf.cos(angle) ** 2 + end * tf.sin(angle) ** 2
