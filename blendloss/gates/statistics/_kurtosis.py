"""The kurtosis."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.statistics._statistic import Statistic, mean


@register
class Kurtosis(Statistic):
    """The kurtosis of the residuals, m_4 / m_2^2 with central moments m. It has no units; 3 for normal, 6 for Laplace.

    Returns:
        `statistic(residual)` returns a scalar in the dtype of the residuals; NaN if all residuals are equal.

    Raises:
        TypeError: if the residuals are not floating.

    Example:
        >>> import blendloss as bl
        >>> float(bl.gates.statistics.Kurtosis()([-1.0, 1.0, -1.0, 1.0]))
        1.0

    References:
        Pearson, "Das Fehlergesetz und seine Verallgemeinerungen", Biometrika 4 (1905).

    Deviations:
        none; the sample moments are not corrected for bias.
    """

    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        # Subtracting the smallest gives exactly 0 if all are equal, and keeps the digits of residuals far from 0.
        infinity = tf.constant(float("inf"), residual.dtype)
        raised = residual - tf.reduce_min(tf.where(counted, residual, infinity))
        centred = raised - mean(raised, counted)
        # The ratio has no units: dividing by the largest keeps fourth powers in range.
        centred = centred / tf.reduce_max(tf.where(counted, tf.abs(centred), tf.zeros_like(centred)))
        square = tf.square(centred)
        return mean(tf.square(square), counted) / tf.square(mean(square, counted))

    def get_config(self) -> dict[str, Any]:
        return {}
