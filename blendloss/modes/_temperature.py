"""Temperatures: positive scalars, constant or scheduled."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss.schedules import Schedule, as_schedule


def validate_temperature(temperature: Any) -> float:
    """Checks that `temperature` is a positive number, also in float32."""
    number = checks.positive("temperature", temperature)
    if number < np.finfo(np.float32).tiny:
        raise ValueError(f"`temperature` must be positive in float32. Received: temperature={temperature!r}")
    return number


def as_temperature_schedule(temperature: Any) -> Schedule:
    """`temperature` as a schedule. A constant must be a positive number."""
    schedule = as_schedule("temperature", temperature)
    if schedule.name == "constant":
        validate_temperature(schedule.arguments["value"])
    return schedule


def temperature_at(schedule: Any, step: tf.Tensor | None, dtype: Any) -> tf.Tensor:
    """The schedule's temperature in `dtype`, checked in the graph to be a positive scalar."""
    temperature = schedule.at(0 if step is None else step, dtype)  # only constants have no step
    if temperature.shape.rank != 0:
        raise ValueError(f"`temperature` must be a scalar schedule. Received: values of shape {temperature.shape}")
    return require(temperature > 0, "`temperature` must be positive.", temperature)
