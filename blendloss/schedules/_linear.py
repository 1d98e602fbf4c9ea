"""A ramp with a constant slope."""

from __future__ import annotations

import tensorflow as tf

from blendloss.schedules._ramp import ramp
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Value


@factory
def linear(start: Value, end: Value, *, steps: int, begin: int = 0) -> Schedule:
    """A straight line from `start` to `end`.

        start + (end - start) u,   u = (step - begin) / steps in [0, 1]

    The value is exactly `start` up to `begin` and exactly `end` from `begin + steps` on.

    Args:
        start: the value up to `begin`; a finite number, or a list of K finite numbers.
        end: the value from `begin + steps` on, in the shape of `start`.
        steps: the length of the ramp in steps, an integer of at least 1.
        begin: the step at which the ramp starts, an integer; negative for a ramp that started before step 0.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `start` or `end` is neither a number nor a list of numbers, or `steps` or `begin` is not an
            integer.
        ValueError: if a number is not finite in float32, the shapes differ, or `steps` is below 1.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.linear([1.0, 0.0], [0.0, 1.0], steps=4)
        >>> schedule(1).numpy().tolist()
        [0.75, 0.25]

    References:
        Optax, `linear_schedule`.

    Deviations:
        If `steps` is not positive, Optax keeps `start` and only logs a message; here that raises an error.
    """
    return ramp("linear", _curve, start, end, steps, begin)


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    return start + (end - start) * fraction
