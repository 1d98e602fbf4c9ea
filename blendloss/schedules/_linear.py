"""A ramp of constant slope."""

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
        start: the value up to `begin`; a finite number, or K of them.
        end: the value from `begin + steps` on; of `start`'s shape.
        steps: how many steps the ramp takes, at least 1.
        begin: the step at which it starts to move; negative for a ramp already on its way at step 0.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `start` or `end` is neither a number nor a list of numbers, `steps` or `begin` not an integer.
        ValueError: if a number is not finite in float32, the shapes differ, or `steps` is below 1.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.linear([1.0, 0.0], [0.0, 1.0], steps=4)
        >>> schedule(1).numpy().tolist()
        [0.75, 0.25]

    References:
        Optax, `linear_schedule`.

    Deviations:
        Optax freezes the value at `start`, and only logs it, where `steps` is not positive; here that raises.
    """
    return ramp("linear", _curve, start, end, steps, begin)


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    return start + (end - start) * fraction
