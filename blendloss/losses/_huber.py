"""Huber's penalty."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import where
from blendloss.losses._penalty import Penalty


@register
class Huber(Penalty):
    """Huber: quadratic within the threshold, linear beyond it; convex, with the slope bounded by the threshold.

        rho(r) = r^2 / 2               for |r| <= delta
                 delta |r| - delta^2 / 2    beyond
        psi(r) = min(max(r, -delta), delta),    r = y_pred - y_true

    Unit curvature at 0. `Huber(delta)` is exactly `keras.losses.huber` with the same `delta`.

    Args:
        delta: Huber's k, the threshold, positive, in units of the residual. With delta = 1.345 standard deviations, the
            efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `delta` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> float(bl.losses.Huber(delta=1.0)([0.0], [3.0])[0])
        2.5
        >>> round(bl.losses.Huber.tuned(0.95).delta, 3)
        1.345

    References:
        Huber, Robust estimation of a location parameter, Ann. Math. Statist. 35 (1964), example (i) of section 4.
    """

    tuned_argument = "delta"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.positive("delta", delta)

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta}

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        inner = tf.minimum(magnitude, self.delta)
        slope = where(magnitude > self.delta, tf.sign(residual) * self.delta, residual)
        return inner * (magnitude - 0.5 * inner), slope
