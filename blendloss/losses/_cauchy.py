"""The Cauchy penalty."""

from __future__ import annotations

import tensorflow as tf

from blendloss._serialization import register
from blendloss.losses._numerics import folded, log1p_over_self, log_of_ratio, where
from blendloss.losses._penalty import ScaledPenalty


@register
class Cauchy(ScaledPenalty):
    """Cauchy (Lorentzian): grows only as log |r|; the slope falls back to 0 as 1 / r.

        rho(r) = s^2 / 2 log(1 + u^2),    psi(r) = r / (1 + u^2),    u = r / s,    r = y_pred - y_true

    Unit curvature at 0; slope at most s / 2 (at |r| = s); not convex. Up to constants it is the negative
    log-density of the Cauchy law of scale s.

    Args:
        scale: s, positive; 2.3849 standard deviations is 95 % efficient.

    Returns:
        Calling it on `(y_true, y_pred)`, `[batch, ..., D]`, gives values `[batch, ...]`, as of `Penalty`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number; on calling, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.Cauchy()([0.0], [1.0])[0]), 6)
        0.346574

    References:
        Holland and Welsch, Robust regression using iteratively reweighted least-squares,
        Commun. Statist. A6 (1977), table 1.

    Deviations:
        none.
    """

    tuning = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        far, b = folded(magnitude, self.scale)
        t = b * b
        ratio = log1p_over_self(t)
        near = 0.5 * residual * (residual * ratio)
        # log(1 + u^2) / 2 = log |u| + log(1 + u^-2) / 2: u^2 would overflow.
        log_a = log_of_ratio(far, b, magnitude, self.scale)
        value = where(far, self.scale * (self.scale * (log_a + 0.5 * t * ratio)), near)
        value = where(tf.math.is_inf(residual), magnitude, value)
        return value, where(far, tf.sign(residual) * (self.scale * b), residual) / (1.0 + t)
