"""The base of the losses that are penalties of the residual.

A penalty is a function rho of the residual r = y_pred - y_true, written together with its slope psi = d rho / dr:
the two share their exponentials, roots and divisions, and the slope is a closed form that is accurate where
differentiating the value's formula is not (cancellation near 0, overflow far out).
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

    The base of this room's losses. A subclass implements `_value_and_slope(residual)` for float32 and float64, and
    `get_config`; gradients use the closed-form slope, at every order, and are those in the residual: a variable of the
    penalty itself would not train.

    Returns:
        Calling it gives per-example values, as Keras's loss functions do: the mean of rho over the last axis,
        `[batch, ..., D]` -> `[batch, ...]`. A rank-1 input is a batch of scalars and keeps its shape.

    Raises:
        ValueError: on calling, if the shapes differ; nothing is broadcast.

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

    #: The argument that `tuned` solves for, or None where the efficiency does not depend on it.
    tuning: ClassVar[str | None] = None

    @abc.abstractmethod
    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """rho and psi of a float32 or float64 `residual`, both of its shape."""

    def value_and_slope(self, residual: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """rho(r) and psi(r), elementwise.

        Args:
            residual: r, floating, any shape. Half precision is computed in float32 and rounded once.

        Returns:
            Two tensors of `residual`'s shape and dtype.
        """
        residual = as_floating("residual", residual)
        if residual.dtype in _HALF:
            value, slope = self._value_and_slope(tf.cast(residual, tf.float32))
            return tf.cast(value, residual.dtype), tf.cast(slope, residual.dtype)
        return self._value_and_slope(residual)

    def value(self, residual: Any) -> tf.Tensor:
        """rho(r), elementwise, with psi(r) as its gradient; shape and dtype of `residual`."""
        residual = as_floating("residual", residual)
        value, slope = self.value_and_slope(residual)
        return with_slope(residual, value, slope)

    def slope(self, residual: Any) -> tf.Tensor:
        """psi(r), elementwise; shape and dtype of `residual`."""
        return self.value_and_slope(residual)[1]

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Mean of rho(y_pred - y_true) over the last axis.

        Args:
            y_true: targets, `[batch, ..., D]` or `[batch]`.
            y_pred: predictions, same shape; its dtype is the result's. As in Keras, a missing or extra last axis
                of length 1 is squeezed or added.

        Returns:
            Values `[batch, ...]`; `[batch]` for rank-1 inputs.

        Raises:
            ValueError: if the shapes differ otherwise; nothing is broadcast.
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
        """Asymptotic efficiency of the location M-estimate at the standard normal, (E psi')^2 / E psi^2."""
        return efficiency_at_normal(self.slope)

    @classmethod
    def tuned(cls, efficiency: float = 0.95, **arguments: Any) -> Any:
        """The penalty whose threshold or scale gives a wanted efficiency at the standard normal.

        Solves (E psi')^2 / E psi^2 = efficiency for the argument named by `cls.tuning`; residuals are in units of
        their standard deviation.

        Args:
            efficiency: the wanted efficiency, in (0, 1).
            **arguments: the other constructor arguments.

        Raises:
            ValueError: if no value of the argument reaches it.
        """
        if cls.tuning is None:
            raise ValueError(
                f"{cls.__name__}'s efficiency does not depend on its arguments: it cannot be tuned. "
                f"Received: efficiency={efficiency!r}"
            )
        name = cls.tuning
        constant = tuning_constant(lambda value: cls(**{name: value}, **arguments).slope, efficiency, cls.__name__)
        return cls(**{name: constant}, **arguments)


class ScaledPenalty(Penalty):
    """A penalty whose one argument is a positive scale."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = checks.divisor("scale", scale)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale}


def as_floating(name: str, value: Any) -> tf.Tensor:
    """`value` as a floating tensor; integers and Python numbers become float32."""
    tensor = conversion.real(name, value)
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)


def align(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Both tensors at one rank, by Keras's rule; differing shapes raise instead of broadcasting."""
    conversion.numbers("y_true", y_true)  # of a blend, they may be strings
    y_true = of_rank(y_true, y_pred)
    if not y_true.shape.is_compatible_with(y_pred.shape):
        raise ValueError(
            f"`y_true` and `y_pred` must have the same shape. Received: shapes {y_true.shape} and {y_pred.shape}"
        )
    if not (y_true.shape.is_fully_defined() and y_pred.shape.is_fully_defined()):
        # Where a length is known to the running graph alone, subtracting would broadcast a 1. A slice longer than the
        # array fails, compiled or not; XLA drops assertions, and the graph's optimizer reshapes of rank 1.
        given, wanted = tf.shape(y_true), tf.shape(y_pred)
        size = given + tf.abs(given - wanted)
        y_true = tf.slice(y_true, tf.zeros_like(given), size, name="y_true_must_have_the_shape_of_y_pred")
        y_true = tf.ensure_shape(y_true, y_pred.shape)
    return y_true, y_pred


def of_rank(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """`y_true` with a last axis of length 1 dropped, or added, where `y_pred` has not, or has, one."""
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
def with_slope(residual: tf.Tensor, value: tf.Tensor, slope: tf.Tensor) -> Any:
    """`value`, whose derivative in `residual` is `slope`; higher orders differentiate `slope` itself."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        return upstream * slope, None, None

    return tf.identity(value), gradient
