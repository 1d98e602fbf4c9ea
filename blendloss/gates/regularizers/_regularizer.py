"""The base of the regularizers of a gate's shares, and their common averages."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.reductions import accurate_sum
from blendloss._internal.replicas import sum_over_replicas
from blendloss._internal.serialization import Configured, deserialize, serialize
from blendloss.schedules import as_schedule


class Regularizer(Configured, abc.ABC):
    """A scalar function of a gate's shares, times a coefficient that may follow a schedule. Added to the blended loss.

    regularizer(shares, step) = coefficient(step) * penalty(shares). A subclass implements `penalty`. Regularizers have
    no state. A gate adds all of its regularizers: `Learned(regularizers=[...])`.

    Args:
        coefficient: a number, or a schedule of the step with scalar values.

    Returns:
        `regularizer(shares, step)` returns a scalar: float64 for float64 shares, else float32.

    Raises:
        TypeError: if `coefficient` is neither a number nor a schedule.
        ValueError: if `coefficient` is not finite or not a scalar. When called, if the shares do not fit, or if the
            coefficient follows the step and no step is given.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class Largest(bl.gates.regularizers.Regularizer):
        ...     def penalty(self, shares):
        ...         return tf.reduce_max(shares)
        >>> float(Largest(2.0)([0.25, 0.75]))
        1.5
    """

    def __init__(self, coefficient: Any) -> None:
        self.coefficient = as_schedule("coefficient", coefficient)
        shape = self.coefficient(0).shape
        if shape != ():
            raise ValueError(f"`coefficient` must be a scalar schedule. Received: values of shape {shape}")

    @property
    def needs_step(self) -> bool:
        """Whether the coefficient follows the step."""
        return self.coefficient.name != "constant"

    def check(self, k: int) -> None:
        """Raises if the regularizer does not fit a gate of `k` losses."""
        del k  # AutoGraph warns about functions without a body

    @abc.abstractmethod
    def penalty(self, shares: tf.Tensor) -> tf.Tensor:
        """The scalar for `shares` `[..., K]`, float32 or float64, without the coefficient."""

    def __call__(self, shares: Any, step: Any = None) -> tf.Tensor:
        """The regularizer's value, a scalar.

        Args:
            shares: `[K]`, `[batch, K]` or `[..., K]`, on the simplex along the last axis.
            step: the training step, an integer. Required if `needs_step`.
        """
        shares = conversion.floating("shares", shares, axes="[..., K] with K known")
        if shares.shape[-1] is None:
            raise ValueError(f"`shares` must have shape [..., K] with K known. Received: shape {shares.shape}")
        self.check(shares.shape[-1])
        if shares.dtype != tf.float64:  # sums in half precision are inexact
            shares = tf.cast(shares, tf.float32)
        if self.needs_step and step is None:
            raise ValueError(f"{type(self).__name__}'s coefficient follows the step: pass `step=`. Received: step=None")
        coefficient = self.coefficient.at(0 if step is None else step, shares.dtype)
        return coefficient * self.penalty(shares)

    def get_config(self) -> dict[str, Any]:
        return {"coefficient": serialize(self.coefficient)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{**config, "coefficient": deserialize(config["coefficient"])})


def checked_regularizers(regularizers: Any) -> tuple[Regularizer, ...]:
    """Checks that `regularizers` is a list of regularizers; returns a tuple."""
    if not isinstance(regularizers, (list, tuple)) or not all(isinstance(one, Regularizer) for one in regularizers):
        raise TypeError(
            "`regularizers` must be a list of regularizers, such as [blendloss.gates.regularizers.Entropy(0.1)]. "
            f"Received: regularizers={regularizers!r}"
        )
    return tuple(regularizers)


def mean_over_examples(values: tf.Tensor) -> tf.Tensor:
    """The mean of `values` of any shape; 0 if there are none."""
    count = tf.cast(tf.size(values), values.dtype)
    return tf.math.divide_no_nan(accurate_sum(tf.reshape(values, [-1])), count)


def mean_over_batch(values: tf.Tensor) -> tf.Tensor:
    """The mean of `values` `[..., K]` over all but the last axis, and over all replicas, `[K]`; 0 if there are none."""
    rows = tf.reshape(values, [-1, values.shape[-1]])
    sums = accurate_sum(tf.transpose(rows))
    count = tf.cast(tf.shape(rows)[0], values.dtype)
    sums, count = sum_over_replicas([sums, count])
    return tf.math.divide_no_nan(sums, count)


def positive_part(shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the shares are positive, bool, and their logarithms, 0 with gradient 0 elsewhere; both `[..., K]`.

    Subnormal shares count as 0, because processors that flush them return -inf for their logarithm. NaN stays NaN.
    """
    positive = ~(shares < np.finfo(shares.dtype.as_numpy_dtype).tiny)
    return positive, tf.math.log(tf.where(positive, shares, tf.ones_like(shares)))
