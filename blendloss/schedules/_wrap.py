"""A function of one's own as a schedule."""

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
    """Any function of the step, or a Keras learning-rate schedule, as a schedule.

        function(step)

    Args:
        function: step, a float64 scalar -> value of shape `[]` or `[K]`. It is called once per trace, so what changes
            with the step must be TensorFlow operations. Saving needs a `LearningRateSchedule`, or a function that is
            registered with `keras.saving.register_keras_serializable`.

    Returns:
        A `Schedule` of the function's shape.

    Raises:
        TypeError: if `function` is not callable.
        ValueError: on saving, if the function is not registered.

    Example:
        >>> import keras
        >>> import blendloss as bl
        >>> schedule = bl.schedules.wrap(keras.optimizers.schedules.CosineDecay(1.0, decay_steps=100))
        >>> round(float(schedule(50)), 4)
        0.5

    References:
        Keras, `keras.optimizers.schedules.LearningRateSchedule`.

    Deviations:
        none. Keras's own schedules count in float32, exactly up to 2^24 steps.
    """
    if not is_function_of_step(function):
        raise TypeError(f"`function` must be a function of the step. Received: function={function!r}")
    return Schedule("wrap", _rule, {"function": function})


def is_function_of_step(function: Any) -> bool:
    """Whether `function` takes the step alone, and is nothing that Keras trains, such as a gate or a layer."""
    return takes(function, 1) and not isinstance(function, keras.Layer)


def _rule(step: tf.Tensor, function: Callable[[tf.Tensor], Any]) -> Any:
    return function(step)
