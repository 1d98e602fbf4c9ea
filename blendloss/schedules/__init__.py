"""Schedules: functions from a step to a value, a scalar or a vector of K numbers.

Every schedule computes in float64 and returns float32, so that steps beyond 2^24 stay exact. Ramps (`linear`, `cosine`,
`exponential`, `polynomial`) have the value `start` up to `begin` and `end` from `begin + steps` on. `join`, `cyclic`
and `wrap` make schedules from other schedules.
"""

from blendloss.schedules._as_schedule import as_schedule
from blendloss.schedules._constant import constant
from blendloss.schedules._cosine import cosine
from blendloss.schedules._cyclic import cyclic
from blendloss.schedules._exponential import exponential
from blendloss.schedules._join import join
from blendloss.schedules._linear import linear
from blendloss.schedules._piecewise import piecewise
from blendloss.schedules._polynomial import polynomial
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._sigmoid import sigmoid
from blendloss.schedules._switch_at import switch_at
from blendloss.schedules._wrap import wrap

__all__ = [
    "Schedule",
    "as_schedule",
    "constant",
    "cosine",
    "cyclic",
    "exponential",
    "join",
    "linear",
    "piecewise",
    "polynomial",
    "sigmoid",
    "switch_at",
    "wrap",
]
