"""The share of outliers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates.statistics._statistic import Statistic, mean, quantile

# This factor times the MAD estimates the standard deviation of a normal law: 1 / Phi^{-1}(3/4).
_CONSISTENCY = 1.482602218505602


@register
class OutlierShare(Statistic):
    """The share of residuals more than c scaled MADs from their median; without units, in [0, 1].

    share = mean[ |r - med r| > c * 1.4826 * med |r - med r| ]. For normal residuals and c = 3 it is 0.0027.

    Args:
        cutoff: c > 0, in estimated standard deviations.

    Returns:
        `statistic(residual)` returns a scalar in the dtype of the residuals.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `cutoff` is not positive.

    Example:
        >>> import blendloss as bl
        >>> float(bl.gates.statistics.OutlierShare(3.0)([0.0, 1.0, -1.0, 0.5, 100.0]))
        0.20000000298023224

    References:
        Hampel, "The Influence Curve and its Role in Robust Estimation", JASA 69 (1974): the X84 rule.

    Deviations:
        If more than half of the residuals are equal, the MAD is 0, and all others count as outliers.
    """

    def __init__(self, cutoff: float = 3.0) -> None:
        self.cutoff = checks.positive("cutoff", cutoff)

    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        distance = tf.abs(residual - quantile(residual, counted, 0.5))
        outlying = distance > self.cutoff * _CONSISTENCY * quantile(distance, counted, 0.5)
        return mean(tf.cast(outlying, residual.dtype), counted)

    def get_config(self) -> dict[str, Any]:
        return {"cutoff": self.cutoff}
