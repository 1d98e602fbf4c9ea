"""A quantile of the absolute residual."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates.statistics._statistic import Statistic, quantile


@register
class QuantileAbsolute(Statistic):
    """A quantile of the absolute residual |r|, in the units of the residual.

    It is linear between order statistics, like NumPy's default.

    Args:
        level: the quantile's level, in (0, 1).

    Returns:
        `statistic(residual)` returns a scalar in the dtype of the residuals.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `level` is not in (0, 1).

    Example:
        >>> import blendloss as bl
        >>> float(bl.gates.statistics.QuantileAbsolute(0.5)([1.0, -3.0, 8.0]))
        3.0

    References:
        Hyndman and Fan, "Sample Quantiles in Statistical Packages", Am. Stat. 50 (1996), definition 7.
    """

    def __init__(self, level: float = 0.9) -> None:
        self.level = checks.between("level", level, 0, 1)

    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        return quantile(tf.abs(residual), counted, self.level)

    def get_config(self) -> dict[str, Any]:
        return {"level": self.level}
