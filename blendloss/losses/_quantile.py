"""The quantile (pinball) loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import where
from blendloss.losses._penalty import Penalty


@register
class Quantile(Penalty):
    """Quantile (pinball, check): the q-quantile of the targets minimizes it.

        rho(r) = max(q e, (q - 1) e) / s,    e = y_true - y_pred = -r
        psi(r) = (1 - q) / s for r > 0, -q / s for r < 0, 0 at 0,    r = y_pred - y_true

    At q = 1/2 it is half the absolute error. The convention is scikit-learn's `mean_pinball_loss(alpha=q)`.

    Args:
        quantile: q, strictly between 0 and 1.
        scale: s, positive, in units of the residual.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `quantile` is not in (0, 1), or `scale` is not a positive finite number. When called,
            if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> float(bl.losses.Quantile(0.75)([4.0, 0.0], [0.0, 4.0])[0])
        3.0

    References:
        Koenker and Bassett, Regression quantiles, Econometrica 46 (1978), equation (3.1).
    """

    def __init__(self, quantile: float = 0.5, scale: float = 1.0) -> None:
        self.quantile = checks.between("quantile", quantile, 0.0, 1.0)
        self.scale = checks.positive("scale", scale)

    def get_config(self) -> dict[str, Any]:
        return {"quantile": self.quantile, "scale": self.scale}

    def efficiency(self) -> float:
        """The efficiency of the median as an estimate of location at the standard normal law, 2 / pi.

        Raises:
            ValueError: if `quantile` is not 1/2.
        """
        if self.quantile != 0.5:
            raise ValueError(
                f"`quantile` must be 0.5 for an efficiency of location. Received: quantile={self.quantile!r}"
            )
        return super().efficiency()

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        above, below = (1.0 - self.quantile) / self.scale, self.quantile / self.scale
        rate = where(residual > 0.0, tf.constant(above, residual.dtype), tf.constant(below, residual.dtype))
        return tf.abs(residual) * rate, tf.sign(residual) * rate
