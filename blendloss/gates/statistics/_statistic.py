"""The base of the statistics of a batch of residuals, and the order statistics they share."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.reductions import accurate_sum
from blendloss._internal.serialization import Configured


class Statistic(Configured, abc.ABC):
    """A number computed from a batch of residuals.

    A subclass implements `compute`. `ResidualState` keeps running means of it, by default one. A statistic that
    compares several means defines the memory of each (`running_mean_memories`), and how they are compared
    (`from_means`).

    Returns:
        `statistic(residual)` returns the statistic of a batch of residuals, a scalar.

    Raises:
        TypeError: if the residuals are not floating.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class Largest(bl.gates.statistics.Statistic):
        ...     def compute(self, residual, counted):
        ...         return tf.reduce_max(tf.where(counted, abs(residual), 0.0))
        ...     def get_config(self):
        ...         return {}
        >>> float(Largest()([1.0, -3.0]))
        3.0
    """

    @abc.abstractmethod
    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        """The statistic of the elements of `residual` `[N]` that are `counted` `[N]`, a scalar; NaN for none."""

    def running_mean_memories(self, memory: float) -> tuple[float, ...]:
        """The number of steps that each running mean remembers, given the gate's `memory`."""
        return (memory,)

    def from_means(self, means: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
        """The number that drives the gate, a scalar; NaN while it is not known.

        Args:
            means: the running means, `[A]`.
            filled: the filled part of the memory of each mean, `[A]`, from 0 to 1; 1 - 1/e after `memory` steps.
        """
        return means[0]

    def __call__(self, residual: Any, counted: Any = None) -> tf.Tensor:
        """The statistic of a batch. `residual` has any shape; `counted` is bool of the same shape, or None for all."""
        residual = conversion.floating("residual", residual)
        if counted is None:
            counted = tf.ones_like(residual, tf.bool)
        counted = tf.cast(conversion.numbers("counted", counted), tf.bool)
        if not counted.shape.is_compatible_with(residual.shape):
            raise ValueError(
                f"`counted` must have the shape of `residual`, {residual.shape}. Received: shape {counted.shape}"
            )
        residual, counted = tf.reshape(residual, [-1]), tf.reshape(counted, [-1])
        return self.compute(residual, counted)


def mean(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Mean of the counted values `[N]`; NaN if none is."""
    return accurate_sum(tf.where(counted, values, tf.zeros_like(values))) / count(counted, values.dtype)


def count(counted: tf.Tensor, dtype: Any) -> tf.Tensor:
    """The number of counted elements, in `dtype`."""
    return tf.cast(tf.math.count_nonzero(counted), dtype)


def quantile(values: tf.Tensor, counted: tf.Tensor, level: float) -> tf.Tensor:
    """The `level` quantile of the counted values `[N]`, linear between order statistics; NaN if none is counted."""
    infinity = tf.constant(float("inf"), values.dtype)
    # Elements that do not count are sorted to the end, so that shapes stay static for XLA.
    ordered = tf.sort(tf.concat([tf.where(counted, values, infinity), [infinity]], 0))
    number = count(counted, tf.float64)
    position = tf.maximum(level * (number - 1), 0)
    low = tf.floor(position)
    high = tf.minimum(low + 1, tf.maximum(number - 1, 0))
    below, above = (tf.gather(ordered, tf.cast(index, tf.int32)) for index in (low, high))
    fraction = tf.cast(position - low, values.dtype)
    return tf.where(number > 0, below + fraction * (above - below), tf.constant(float("nan"), values.dtype))
