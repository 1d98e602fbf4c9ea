"""The Cauchy penalty."""

from __future__ import annotations

import math

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._math.elementary import log1p
from blendloss.losses._math.numerics import divide_by_unit, lorentzian, where
from blendloss.losses._penalty import ScaledPenalty


@register
class Cauchy(ScaledPenalty):
    """Cauchy (Lorentzian): grows only as log |r|; the slope falls to 0 as 1 / r.

        rho(r) = s^2 / 2 log(1 + u^2),    psi(r) = r / (1 + u^2),    u = r / s,    r = y_pred - y_true

    Unit curvature at 0; slope at most s / 2 (at |r| = s); not convex. With constants added, 2 rho / s^2 is the negative
    log-density of the Cauchy law of scale s.

    Args:
        scale: s, positive, in units of the residual. With s = 2.3849 standard deviations, the efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.Cauchy()([0.0], [1.0])[0]), 6)
        0.346574

    References:
        Holland and Welsch, Robust regression using iteratively reweighted least-squares,
        Commun. Statist. A6 (1977), table 1.
    """

    tuned_argument = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        far, r, s = divide_by_unit(residual, self.scale, order=2)
        u = magnitude / self.scale
        beyond = u > u.dtype.max / 2.0
        # Far out log(1 + u^2) is 2 log |u|, and |u| itself may overflow.
        log = log1p(where(far, where(beyond, magnitude, u) - 1.0, r * r / (s * s)))
        log_u = where(far, log - where(beyond, tf.constant(math.log(self.scale), u.dtype), 0.0), 0.5 * log)
        # If u^2 may be flushed to 0, log(1 + u^2) is u^2.
        # Do not multiply by the scale twice in a row: TensorFlow's optimizer would square it, which may overflow.
        value = where(u < 1e-10, 0.5 * residual * residual, self.scale * tf.abs(self.scale * log_u))
        quotient = lorentzian(residual, self.scale, far, r, s)
        return value, where(far, tf.sign(residual) * self.scale, residual) * quotient
