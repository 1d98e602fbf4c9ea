"""The mean absolute residual."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.statistics._statistic import Statistic, mean


@register
class MeanAbsolute(Statistic):
    """The mean absolute residual, mean |r|, in the units of the residual.

    Returns:
        `statistic(residual)` returns a scalar in the dtype of the residuals.

    Raises:
        TypeError: if the residuals are not floating.

    Example:
        >>> import blendloss as bl
        >>> float(bl.gates.statistics.MeanAbsolute()([1.0, -3.0]))
        2.0
    """

    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        return mean(tf.abs(residual), counted)

    def get_config(self) -> dict[str, Any]:
        return {}
