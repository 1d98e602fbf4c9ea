"""A crossfade without ends."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.checks import finite, positive
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule
from blendloss.schedules._values import Kept, Value, values


@factory
def sigmoid(start: Value, end: Value, *, center: float, width: float) -> Schedule:
    """A smooth crossfade from `start` to `end` around the step `center`.

        start + (end - start) sigma((step - center) / width),   sigma(x) = 1 / (1 + exp(-x))

    It is halfway at `center` and makes 76% of the way between `center` - 2 `width` and `center` + 2 `width`. `start`
    and `end` are limits, reached only where float32 rounds to them.

    Args:
        start: the limit long before `center`; a finite number, or a list of K finite numbers.
        end: the limit long after `center`, in the shape of `start`.
        center: the step at which the value is halfway, finite.
        width: the scale of the crossfade in steps, positive.

    Returns:
        A `Schedule` of shape `[]` or `[K]`.

    Raises:
        TypeError: if an argument is not a number (`start`, `end`: a list of them).
        ValueError: if a number is not finite, the shapes differ, or `width` is not positive.

    Example:
        >>> import blendloss as bl
        >>> crossfade = bl.schedules.sigmoid(0.0, 1.0, center=100, width=10)
        >>> [round(float(crossfade(step)), 3) for step in (0, 90, 100, 110, 200)]
        [0.0, 0.269, 0.5, 0.731, 1.0]

    References:
        Bengio et al., "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks", NeurIPS 2015,
        section 2.4, "inverse sigmoid decay" (arXiv:1506.03099).

    Deviations:
        The paper's k / (k + exp(i / k)) is `sigmoid(1.0, 0.0, center=k * log(k), width=k)`.
    """
    start, end = values(start=start, end=end)
    arguments = {"start": start, "end": end, "center": finite("center", center), "width": positive("width", width)}
    return Schedule("sigmoid", _rule, arguments)


def _rule(step: tf.Tensor, start: Kept, end: Kept, center: float, width: float) -> tf.Tensor:
    x = (step - center) / width
    return tf.constant(start, tf.float64) * tf.sigmoid(-x) + tf.constant(end, tf.float64) * tf.sigmoid(x)
