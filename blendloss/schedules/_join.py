"""Several schedules, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from blendloss.schedules import _values
from blendloss.schedules._as_schedule import as_schedule
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule


@factory
def join(schedules: Sequence[Any], boundaries: Sequence[int]) -> Schedule:
    """Schedules one after the other. Each counts its steps from its own boundary.

        schedules[i](step - b[i]),   i the number of boundaries at or below the step, b = [0, *boundaries]

    Args:
        schedules: B + 1 schedules of one shape, or anything that `as_schedule` takes. All are evaluated at every
            step, and one is chosen. So a schedule is also called with steps before and after its own.
        boundaries: B steps, positive and strictly increasing.

    Returns:
        A `Schedule` whose values have the shape of those of the parts.

    Raises:
        TypeError: if `schedules` is not a list of schedules, or a boundary is not an integer.
        ValueError: if the boundaries are not positive and increasing, or the lengths do not fit. When called, if the
            parts have different shapes.

    Example:
        >>> import blendloss as bl
        >>> up, down = bl.schedules.linear(0.0, 1.0, steps=2), bl.schedules.linear(1.0, 0.0, steps=4)
        >>> schedule = bl.schedules.join([up, down], [2])
        >>> [float(schedule(step)) for step in range(7)]
        [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]

    References:
        Optax, `join_schedules`.
    """
    steps = _values.boundaries(boundaries, minimum=1)
    if not isinstance(schedules, Sequence) or isinstance(schedules, (str, bytes)):
        raise TypeError(f"`schedules` must be a list of schedules. Received: schedules={schedules!r}")
    if len(schedules) != len(steps) + 1:
        raise ValueError(
            "`schedules` must have one entry more than `boundaries`. "
            f"Received: {len(schedules)} schedules, {len(steps)} boundaries"
        )
    parts = [as_schedule(f"schedules[{i}]", part) for i, part in enumerate(schedules)]
    return Schedule("join", _rule, {"schedules": parts, "boundaries": steps})


def _rule(step: tf.Tensor, schedules: list[Schedule], boundaries: list[int]) -> tf.Tensor:
    value = schedules[0].at(step, tf.float64)
    for schedule, boundary in zip(schedules[1:], boundaries, strict=True):
        later = schedule.at(step - boundary, tf.float64)
        if not later.shape.is_compatible_with(value.shape):
            raise ValueError(
                "`schedules` must have values of one shape. "
                f"Received: {value.shape}, then {later.shape} of {schedule!r}"
            )
        value = tf.where(step >= boundary, later, value)
    return value
