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
    """Schedules one after the other, each counting from its own boundary.

        schedules[i](step - b[i]),   i the number of boundaries at or below the step, b = [0, *boundaries]

    Args:
        schedules: B + 1 schedules of one shape, or anything that `as_schedule` takes. Each is evaluated at every step
            and one is chosen, so a schedule may see steps before its own and after them.
        boundaries: B steps, positive and strictly increasing.

    Returns:
        A `Schedule` of the parts' shape.

    Raises:
        TypeError: if `schedules` is not a list of schedules, or a boundary not an integer.
        ValueError: if the boundaries are not positive and increasing, or lengths disagree; on calling, if the parts'
            shapes differ.

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
                "`schedules` must give values of one shape. "
                f"Received: {value.shape}, then {later.shape} of {schedule!r}"
            )
        value = tf.where(step >= boundary, later, value)
    return value
