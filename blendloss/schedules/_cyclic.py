"""A schedule that repeats another one."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.checks import integer
from blendloss.schedules._as_schedule import as_schedule
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule


@factory
def cyclic(schedule: Any, *, period: int) -> Schedule:
    """The first `period` steps of a schedule, repeated.

        schedule(step mod period)

    Args:
        schedule: the schedule to repeat, a `Schedule` or anything that `as_schedule` takes. It is called only with
            steps in [0, period).
        period: the length of a cycle in steps, at least 1.

    Returns:
        A `Schedule` whose values have the shape of those of `schedule`.

    Raises:
        TypeError: if `schedule` is not a schedule, or `period` is not an integer.
        ValueError: if `period` is below 1.

    Example:
        >>> import blendloss as bl
        >>> ramp = bl.schedules.linear(0.0, 1.0, steps=2)
        >>> schedule = bl.schedules.cyclic(ramp, period=4)
        >>> [float(schedule(step)) for step in range(8)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0]

    References:
        Fu et al., "Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing", NAACL 2019
        (arXiv:1903.10145). Their R, the part of the cycle that ramps, is `steps` / `period` here.

    Deviations:
        Any schedule may be repeated, and the cycles do not end.
    """
    arguments = {"schedule": as_schedule("schedule", schedule), "period": integer("period", period, 1)}
    return Schedule("cyclic", _rule, arguments)


def _rule(step: tf.Tensor, schedule: Schedule, period: int) -> tf.Tensor:
    return schedule.at(tf.math.floormod(step, tf.constant(period, tf.float64)), tf.float64)
