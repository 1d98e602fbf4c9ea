"""Several values, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from blendloss._internal.checks import finites
from blendloss.schedules import _values
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Kept, Value


@factory
def piecewise(boundaries: Sequence[int], values: Sequence[Value]) -> Schedule:
    """A staircase: piecewise constant between `boundaries`.

        values[i],   i the number of boundaries at or below the step

    `values[i]` is the value for boundaries[i - 1] <= step < boundaries[i].

    Args:
        boundaries: B steps, strictly increasing.
        values: B + 1 finite numbers, or B + 1 lists of K finite numbers.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if a boundary is not an integer, or a value is neither a number nor a list of numbers.
        ValueError: if the boundaries do not increase, a number is not finite in float32, or the lengths do not fit.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.piecewise([10, 20], [1.0, 0.5, 0.25])
        >>> [float(schedule(step)) for step in (0, 9, 10, 20, 30)]
        [1.0, 1.0, 0.5, 0.25, 0.25]

    References:
        Optax, `piecewise_constant_schedule`; Keras, `PiecewiseConstantDecay`.

    Deviations:
        At a boundary the new value holds, as in `switch_at`; in Keras the old one does. The arguments are values; Optax
        takes factors.
    """
    steps = _values.boundaries(boundaries)
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        finites("values", values)
    if len(values) != len(steps) + 1:
        raise ValueError(
            "`values` must have one entry more than `boundaries`. "
            f"Received: {len(values)} values, {len(steps)} boundaries"
        )
    kept = _values.values(**{f"values[{i}]": value for i, value in enumerate(values)})
    return Schedule("piecewise", _rule, {"boundaries": steps, "values": kept})


def _rule(step: tf.Tensor, boundaries: list[int], values: list[Kept]) -> tf.Tensor:
    piece = tf.math.count_nonzero(step >= tf.constant(boundaries, tf.float64))
    return tf.gather(tf.constant(values, tf.float64), piece)
