"""A function as a schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal.signatures import takes
from blendloss.schedules._registry import factory
from blendloss.schedules._schedule import Schedule


@factory
def wrap(function: Callable[[tf.Tensor], Any]) -> Schedule:
    """A function of the step, or a Keras learning-rate schedule, as a schedule.

        function(step)

    Args:
        function: a function from the step, a float64 scalar, to a value of shape `[]` or `[K]`. It is called once per
            trace, so it must compute with TensorFlow operations. Saving needs a `LearningRateSchedule`, or a function
            that is registered with `keras.saving.register_keras_serializable`.

    Returns:
        A `Schedule` whose values have the shape of the function's.

    Raises:
        TypeError: if `function` is not callable.
        ValueError: when saved, if the function is not registered.

    Example:
        >>> import keras
        >>> import blendloss as bl
        >>> schedule = bl.schedules.wrap(keras.optimizers.schedules.CosineDecay(1.0, decay_steps=100))
        >>> round(float(schedule(50)), 4)
        0.5

    References:
        Keras, `keras.optimizers.schedules.LearningRateSchedule`.

    Deviations:
        none. Keras's own schedules compute in float32, which is exact up to 2^24 steps.
    """
    if not is_function_of_step(function):
        raise TypeError(f"`function` must be a function of the step. Received: function={function!r}")
    return Schedule("wrap", _rule, {"function": function})


def is_function_of_step(function: Any) -> bool:
    """Whether `function` takes only the step, and is not a Keras layer, such as a gate."""
    return takes(function, 1) and not isinstance(function, keras.Layer)


def _rule(step: tf.Tensor, function: Callable[[tf.Tensor], Any]) -> Any:
    return function(step)
