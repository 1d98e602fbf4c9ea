"""Common parts of the ramps: a curve from `start` to `end` in a span of steps, constant on both sides."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal.checks import integer
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import values

#: (fraction strictly between 0 and 1, start, end, ...) -> value
Curve = Callable[..., tf.Tensor]


def ramp(name: str, curve: Curve, start: Any, end: Any, steps: Any, begin: Any, **more: Any) -> Schedule:
    """The schedule `name` that follows `curve` from `start` at `begin` to `end` at `begin + steps`."""
    start, end = values(start=start, end=end)
    span = {"steps": integer("steps", steps, 1), "begin": integer("begin", begin)}
    return Schedule(name, functools.partial(_follow, curve), {"start": start, "end": end, **span, **more})


def _follow(curve: Curve, step: tf.Tensor, start: Any, end: Any, steps: int, begin: int, **more: float) -> tf.Tensor:
    start, end = tf.constant(start, tf.float64), tf.constant(end, tf.float64)
    # Compare steps, not fractions: XLA multiplies by the reciprocal of a constant, and 49 * (1 / 49) < 1.
    before, after = tf.logical_not(step > begin), step >= begin + steps
    # Outside the span the curve is not used. It is evaluated at its middle, where nothing overflows.
    fraction = tf.where(before | after, tf.constant(0.5, tf.float64), (step - begin) / steps)
    return tf.where(before, start, tf.where(after, end, curve(fraction, start, end, **more)))
