"""One value before a step, another from that step on."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.checks import integer
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Kept, Value, values


@factory
def switch_at(step: int, *, before: Value = 0.0, after: Value = 1.0) -> Schedule:
    """A switch: `before` for steps below `step`, `after` from `step` on.

        before if t < step else after,   t the step of the call

    Args:
        step: the first step with the value `after`, an integer.
        before: the first value; a finite number, or a list of K finite numbers.
        after: the second value, in the shape of `before`.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `step` is not an integer, or `before` or `after` is neither a number nor a list of numbers.
        ValueError: if a number is not finite in float32, or the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.switch_at(1_000)
        >>> [float(schedule(step)) for step in (999, 1_000)]
        [0.0, 1.0]

    References:
        The `if epoch < N: mse else huber` that this library replaces.
    """
    before, after = values(before=before, after=after)
    return Schedule("switch_at", _rule, {"step": integer("step", step), "before": before, "after": after})


def _rule(now: tf.Tensor, /, step: int, before: Kept, after: Kept) -> tf.Tensor:
    return tf.where(now >= step, tf.constant(after, tf.float64), tf.constant(before, tf.float64))
