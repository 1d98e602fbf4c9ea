"""The object that every factory of this package returns: a rule and its arguments."""

from __future__ import annotations

import dataclasses
import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.serialization import Configured, deserialize, register, serialize
from blendloss.schedules._registry import get_factory


@register
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Schedule(Configured):
    """A function from a step to a value, which prints and is saved as the call that made it.

        schedule(step) = float32(rule(float64(step), **arguments))

    Schedules are immutable. They compare, print, pickle and serialize as the factory call that made them. Make them
    with the factories of `blendloss.schedules`, or with `wrap` from your own function.

    Args:
        name: the name of the factory, in `blendloss.schedules.__all__`.
        rule: (float64 step of shape `[]`, **arguments) -> value of shape `[]` or `[K]`; a module-level function.
        arguments: the checked arguments of the factory: numbers, strings, schedules, functions, or lists of those.

    Returns:
        A callable. `step` is a number, an integer or floating scalar tensor, or a variable such as
        `optimizer.iterations`. The value is a float32 tensor of shape `[]` or `[K]`. Comparisons with a NaN step are
        false, so a ramp or a switch returns its first value there.

    Raises:
        TypeError: when called, if `step` is not a real number.
        ValueError: when called, if `step` is not a scalar or the value has more than one axis.

    Example:
        >>> import blendloss as bl
        >>> schedule = bl.schedules.linear(0.0, 1.0, steps=4)
        >>> schedule
        linear(0.0, 1.0, steps=4)
        >>> float(schedule(1))
        0.25
        >>> bl.schedules.Schedule.from_config(schedule.get_config()) == schedule
        True

    References:
        Schedules as functions: `optax.schedules`. Schedules as saved objects: `keras.optimizers.schedules`.

    Deviations:
        Optax's schedules are closures, which cannot be saved. Keras's compute in float32, which is exact up to 2^24
        only.
    """

    name: str
    rule: Callable[..., Any]
    arguments: Mapping[str, Any]

    @traced_as_written
    def __call__(self, step: Any) -> tf.Tensor:
        """The value at `step`, float32 of shape `[]` or `[K]`."""
        return self.at(step, tf.float32)

    def at(self, step: Any, dtype: Any) -> tf.Tensor:
        """The value at `step` in `dtype`; rules compute in float64."""
        value = tf.cast(self.rule(real_step(step), **self.arguments), dtype)
        if value.shape.rank is not None and value.shape.rank > 1:
            raise ValueError(
                f"A schedule's value must be a scalar or a vector. Received: {self!r} with shape {value.shape}"
            )
        return value

    def get_config(self) -> dict[str, Any]:
        """The factory's name and its arguments, JSON-serializable."""
        return {"name": self.name, "arguments": {name: serialize(value) for name, value in self.arguments.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schedule:
        """The schedule whose `get_config` gave `config`."""
        arguments = {name: deserialize(value) for name, value in config["arguments"].items()}
        schedule: Schedule = get_factory(config["name"])(**arguments)
        return schedule

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Schedule)
            and self.name == other.name
            and _comparable(self.arguments) == _comparable(other.arguments)
        )

    __hash__ = Configured.__hash__

    def __repr__(self) -> str:
        parameters = inspect.signature(get_factory(self.name)).parameters.values()
        shown = []
        for parameter in parameters:
            value = self.arguments[parameter.name]
            if parameter.kind is not parameter.KEYWORD_ONLY:
                shown.append(_show(value))
            elif value != parameter.default:
                shown.append(f"{parameter.name}={_show(value)}")
        return f"{self.name}({', '.join(shown)})"


def real_step(step: Any) -> tf.Tensor:
    """`step` as a float64 scalar, which is exact up to 2^53."""
    if isinstance(step, numbers.Real) and not isinstance(step, bool):  # TensorFlow would make an int32 of a Python int
        return tf.constant(step if isinstance(step, float) else checks.real("step", step), tf.float64)
    if step is None:
        raise TypeError("`step` must be a real number. Received: step=None")
    tensor = conversion.real("step", step, "must be a real number")
    if tensor.shape.rank not in (None, 0):
        raise ValueError(f"`step` must be a scalar. Received: step of shape {tensor.shape}")
    return tf.ensure_shape(tf.cast(tensor, tf.float64), [])


def _comparable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` with the config of each Keras schedule in its place, because Keras compares schedules by identity."""
    return {
        name: (type(value), value.get_config()) if hasattr(value, "get_config") else value
        for name, value in arguments.items()
    }


def _show(value: Any) -> str:
    if hasattr(value, "get_config") and not isinstance(value, Schedule):
        return f"{type(value).__name__}({', '.join(f'{k}={v!r}' for k, v in value.get_config().items())})"
    if callable(value) and not isinstance(value, Schedule):
        return str(getattr(value, "__qualname__", type(value).__name__))
    return repr(value)
