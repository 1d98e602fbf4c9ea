"""A ramp of constant ratio."""

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
        start: the value up to `begin`; a finite nonzero number, or K of them.
        end: the value from `begin + steps` on; of `start`'s shape and, entry by entry, of its sign.
        steps: how many steps the ramp takes, at least 1.
        begin: the step at which it starts to move; negative for a ramp already on its way at step 0.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `start` or `end` is neither a number nor a list of numbers, `steps` or `begin` not an integer.
        ValueError: if a number is zero or not finite in float32, the signs or shapes differ, or `steps` is below 1.

    Example:
        >>> import blendloss as bl
        >>> temperature = bl.schedules.exponential(10.0, 0.1, steps=100)
        >>> [round(float(temperature(step)), 4) for step in (0, 50, 100)]
        [10.0, 1.0, 0.1]

    References:
        Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017, section 4
        (arXiv:1611.01144), where it anneals the temperature.

    Deviations:
        Given by its two ends rather than by a rate and a floor: tau = max(0.5, exp(-r t)) of the paper is
        `exponential(1.0, 0.5, steps=T)` with T = log(2) / r.
    """
    schedule = ramp("exponential", _curve, start, end, steps, begin)
    pairs = zip(numbers(schedule.arguments["start"]), numbers(schedule.arguments["end"]), strict=True)
    if any(np.float32(a) * np.sign(np.float32(b)) == 0 or a * b < 0 for a, b in pairs):
        raise ValueError(f"`start` and `end` must be nonzero and of one sign. Received: start={start!r}, end={end!r}")
    return schedule


def _curve(fraction: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    return start * tf.exp(fraction * tf.math.log(end / start))
