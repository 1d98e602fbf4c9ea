"""A constant schedule."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Kept, Value
from blendloss.schedules._values import value as checked


@factory
def constant(value: Value) -> Schedule:
    """The same value at every step.

        value

    Args:
        value: a finite number, or a list of K finite numbers.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if `value` is neither a number nor a list of numbers.
        ValueError: if a number is not finite in float32.

    Example:
        >>> import blendloss as bl
        >>> float(bl.schedules.constant(0.5)(1_000))
        0.5

    References:
        Optax, `constant_schedule`.
    """
    return Schedule("constant", _rule, {"value": checked("value", value)})


def _rule(step: tf.Tensor, value: Kept) -> Any:
    return tf.constant(value, tf.float64)
