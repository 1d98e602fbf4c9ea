"""The base of the losses that are penalties of the residual.

A penalty is a function rho of the residual r = y_pred - y_true, written together with its slope psi = d rho / dr. Both
share exponentials, roots and divisions. The slope is a closed form: the derivative of the value's formula would cancel
near 0 and overflow far out.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.custom_gradient import custom_gradient
from blendloss._internal.reductions import accurate_mean
from blendloss._internal.serialization import Configured
from blendloss.losses._math.efficiency import efficiency_at_normal, tuning_constant

_HALF = (tf.float16, tf.bfloat16)


class Penalty(Configured, abc.ABC):
    """A penalty rho(r) of the residual r = y_pred - y_true, with its slope psi(r) = d rho / dr.

    The base of the penalties. A subclass implements `_value_and_slope(residual)` for float32 and float64, and
    `get_config`. Gradients of every order use the closed-form slope. There is a gradient in the residual only: a
    variable of the penalty would not train.

    Returns:
        `penalty(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`,
        in the dtype of `y_pred`. A rank-1 input is a batch of scalars and keeps its shape.

    Raises:
        ValueError: when called, if the shapes differ; nothing is broadcast.

    Example:
        >>> import blendloss as bl
        >>> class Quartic(bl.losses.Penalty):
        ...     def _value_and_slope(self, residual):
        ...         return residual**4, 4 * residual**3
        ...     def get_config(self):
        ...         return {}
        >>> Quartic()([[0.0, 0.0]], [[1.0, 2.0]]).numpy().tolist()
        [8.5]
    """

    #: The argument that `tuned` solves for, or None if the efficiency depends on no argument.
    tuned_argument: ClassVar[str | None] = None

    @abc.abstractmethod
    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """rho and psi of `residual`, float32 or float64, in its shape and dtype."""

    def value_and_slope(self, residual: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """rho(r) and psi(r), elementwise.

        Args:
            residual: r, a floating tensor of any shape. Half precision is computed in float32 and rounded once.

        Returns:
            Two tensors of `residual`'s shape and dtype.
        """
        residual = as_floating("residual", residual)
        if residual.dtype in _HALF:
            value, slope = self._value_and_slope(tf.cast(residual, tf.float32))
            return tf.cast(value, residual.dtype), tf.cast(slope, residual.dtype)
        return self._value_and_slope(residual)

    def value(self, residual: Any) -> tf.Tensor:
        """rho(r), elementwise, with psi(r) as its gradient; in the shape and dtype of `residual`."""
        residual = as_floating("residual", residual)
        value, slope = self.value_and_slope(residual)
        return attach_slope(residual, value, slope)

    def slope(self, residual: Any) -> tf.Tensor:
        """psi(r), elementwise; in the shape and dtype of `residual`."""
        return self.value_and_slope(residual)[1]

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The mean of rho(y_pred - y_true) over the last axis.

        Args:
            y_true: targets, `[batch, ..., D]` or `[batch]`.
            y_pred: predictions of the same shape, in the dtype of the result. As in Keras, a last axis of length 1 that
                only one of the two has is squeezed or added.

        Returns:
            Values `[batch, ...]`; `[batch]` for rank-1 inputs.

        Raises:
            ValueError: if the shapes differ in another way; nothing is broadcast.
        """
        y_pred = as_floating("y_pred", y_pred)
        y_true = tf.cast(conversion.numbers("y_true", y_true), y_pred.dtype)
        y_true, y_pred = align(y_true, y_pred)
        values = self.value(y_pred - y_true)
        if values.shape.rank < 2:
            return values
        if values.dtype in _HALF:
            return tf.cast(accurate_mean(tf.cast(values, tf.float32)), values.dtype)
        return accurate_mean(values)

    def efficiency(self) -> float:
        """Asymptotic efficiency of the location M-estimate at the standard normal law: (E psi')^2 / E psi^2."""
        return efficiency_at_normal(self.slope)

    @classmethod
    def tuned(cls, efficiency: float = 0.95, **arguments: Any) -> Any:
        """The penalty whose threshold or scale has a given efficiency at the standard normal law.

        Solves (E psi')^2 / E psi^2 = efficiency for the argument named by `cls.tuned_argument`, which is in units of
        the residuals' standard deviation.

        Args:
            efficiency: the efficiency to reach, in (0, 1).
            **arguments: the other constructor arguments.

        Raises:
            ValueError: if no value of the argument has this efficiency.
        """
        if cls.tuned_argument is None:
            raise ValueError(
                f"{cls.__name__}'s efficiency does not depend on its arguments: it cannot be tuned. "
                f"Received: efficiency={efficiency!r}"
            )
        name = cls.tuned_argument
        constant = tuning_constant(lambda value: cls(**{name: value}, **arguments).slope, efficiency, cls.__name__)
        return cls(**{name: constant}, **arguments)


class ScaledPenalty(Penalty):
    """A penalty whose only argument is a positive scale, in units of the residual."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = checks.divisor("scale", scale)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}


def as_floating(name: str, value: Any) -> tf.Tensor:
    """`value` as a floating tensor; integers and Python numbers become float32."""
    tensor = conversion.real(name, value)
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)


def align(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Both tensors at one rank, by Keras's rule. Different shapes raise an error; nothing is broadcast."""
    conversion.numbers("y_true", y_true)  # a blend also takes strings
    y_true = match_rank(y_true, y_pred)
    if not y_true.shape.is_compatible_with(y_pred.shape):
        raise ValueError(
            f"`y_true` and `y_pred` must have the same shape. Received: shapes {y_true.shape} and {y_pred.shape}"
        )
    if not (y_true.shape.is_fully_defined() and y_pred.shape.is_fully_defined()):
        # If a length is only known when the graph runs, a subtraction would broadcast a 1. A slice longer than the
        # array fails with and without XLA. XLA drops assertions, and the graph's optimizer drops reshapes of rank 1.
        given, wanted = tf.shape(y_true), tf.shape(y_pred)
        size = given + tf.abs(given - wanted)
        y_true = tf.slice(y_true, tf.zeros_like(given), size, name="y_true_must_have_the_shape_of_y_pred")
        y_true = tf.ensure_shape(y_true, y_pred.shape)
    return y_true, y_pred


def match_rank(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """`y_true` at the rank of `y_pred`: a last axis of length 1 is dropped or added."""
    if y_true.shape.rank is None or y_pred.shape.rank is None:
        raise ValueError(
            f"The ranks of `y_true` and `y_pred` must be known. Received: shapes {y_true.shape} and {y_pred.shape}"
        )
    if y_true.shape.rank == y_pred.shape.rank + 1 and y_true.shape[-1] == 1:
        return tf.squeeze(y_true, -1)
    if y_pred.shape.rank == y_true.shape.rank + 1 and y_pred.shape[-1] == 1:
        return y_true[..., tf.newaxis]
    return y_true


@custom_gradient
def attach_slope(residual: tf.Tensor, value: tf.Tensor, slope: tf.Tensor) -> Any:
    """Gives `value` the derivative `slope` in `residual`. Higher orders differentiate `slope`."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        return upstream * slope, None, None

    return tf.identity(value), gradient
