"""The schedules that go from one value to another, under test, and schedules at many steps."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

import blendloss.schedules as schedules
from blendloss.schedules import Schedule
from tests.schedules.golden import ROWS

RAMPS = {
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "exponential": schedules.exponential,
    "polynomial": functools.partial(schedules.polynomial, power=0.9),
}
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
every_ramp = pytest.mark.parametrize("ramp", RAMPS.values(), ids=RAMPS)


def sample(schedule: Schedule, steps: Sequence[float] | np.ndarray, **options: bool) -> np.ndarray:
    """The values at `steps`, one graph for all of them."""
    function = tf.function(lambda every: tf.map_fn(schedule, every, fn_output_signature=tf.float32), **options)
    return function(tf.constant(steps, tf.float64)).numpy()
