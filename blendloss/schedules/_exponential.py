"""A ramp with a constant ratio from step to step."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from blendloss.schedules._ramp import ramp
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Value, numbers


@factory
def exponential(start: Value, end: Value, *, steps: int, begin: int = 0) -> Schedule:
    """A geometric interpolation from `start` to `end`: every step multiplies by the same factor.

        start (end / start)^u,   u = (step - begin) / steps in [0, 1]

    The value is exactly `start` up to `begin` and exactly `end` from `begin + steps` on.

    Args:
        start: the value up to `begin`; a finite nonzero number, or a list of K such numbers.
        end: the value from `begin + steps` on, in the shape of `start`; each number has the sign of its start.
        steps: the length of the ramp in steps, an integer of at least 1.
        begin: the step at which the ramp starts, an integer; negative for a ramp that started before step 0.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `start` or `end` is neither a number nor a list of numbers, or `steps` or `begin` is not an
            integer.
        ValueError: if a number is zero or not finite in float32, the signs or shapes differ, or `steps` is below 1.

    Example:
        >>> import blendloss as bl
        >>> temperature = bl.schedules.exponential(10.0, 0.1, steps=100)
        >>> [round(float(temperature(step)), 4) for step in (0, 50, 100)]
        [10.0, 1.0, 0.1]

    References:
        Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017, section 4
        (arXiv:1611.01144), where the schedule anneals the temperature.

    Deviations:
        The arguments are the two ends, not a rate and a floor. The paper's tau = max(0.5, exp(-r t)) is
        `exponential(1.0, 0.5, steps=T)` with T = log(2) / r.
    """
    schedule = ramp("exponential", _curve, start, end, steps, begin)
    pairs = zip(numbers(schedule.arguments["start"]), numbers(schedule.arguments["end"]), strict=True)
    if any(np.float32(a) * np.sign(np.float32(b)) == 0 or a * b < 0 for a, b in pairs):
        raise ValueError(f"`start` and `end` must be nonzero and of one sign. Received: start={start!r}, end={end!r}")
    return schedule


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    return start * tf.exp(fraction * tf.math.log(end / start))
