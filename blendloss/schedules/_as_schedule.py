"""Conversion of arguments that take a schedule."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from blendloss._internal.checks import received
from blendloss.schedules._constant import constant
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import value as checked
from blendloss.schedules._wrap import is_function_of_step, wrap


def as_schedule(name: str, value: Any) -> Schedule:
    """Converts a number, a list of numbers or a function to a schedule.

        value -> itself, `constant(value)` or `wrap(value)`

    Args:
        name: the argument's name, for the error messages.
        value: a `Schedule`; a number or a list of K numbers (`constant`); a
            `keras.optimizers.schedules.LearningRateSchedule` or any function step -> value (`wrap`).

    Returns:
        A `Schedule`.

    Raises:
        TypeError: if `value` is none of these.
        ValueError: if a number is not finite in float32.

    Example:
        >>> import blendloss as bl
        >>> bl.schedules.as_schedule("temperature", 0.5)
        constant(0.5)
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, (numbers.Real, Sequence, np.ndarray)) and not isinstance(value, (bool, np.bool_, str, bytes)):
        return constant(checked(name, value))
    if is_function_of_step(value):
        return wrap(value)
    raise TypeError(
        f"`{name}` must be a schedule, a number, a list of numbers or a function of the step. {received(name, value)}"
    )
