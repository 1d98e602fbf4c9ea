"""The Welsch penalty."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._math.elementary import expm1_parts
from blendloss.losses._math.gaussian import gaussian
from blendloss.losses._math.numerics import where
from blendloss.losses._penalty import ScaledPenalty

# From this u^2 on, 1 - exp(-u^2) rounds to 1.
_FAR = 40.0


@register
class Welsch(ScaledPenalty):
    """Welsch (Leclerc, correntropy): bounded; the slope falls to 0 as a Gaussian.

        rho(r) = s^2 / 2 (1 - exp(-u^2)),    psi(r) = r exp(-u^2),    u = r / s,    r = y_pred - y_true

    Unit curvature at 0; rho < s^2 / 2; not convex.

    Args:
        scale: s, positive, in units of the residual. With s = 2.9846 standard deviations, the efficiency is 95 %.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> round(float(bl.losses.Welsch()([0.0], [1.0])[0]), 6)
        0.31606

    References:
        Holland and Welsch, Robust regression using iteratively reweighted least-squares,
        Commun. Statist. A6 (1977), table 1.
    """

    tuned_argument = "scale"

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        u = residual / self.scale
        square = u * u
        power, f, more = expm1_parts(-where(square > _FAR, _FAR, square))
        near = 0.5 * residual * (residual + residual * more)  # f is -u^2 there
        # Do not multiply by the scale twice in a row: TensorFlow's optimizer would square it, which may overflow.
        outer = 0.5 * self.scale * tf.abs(self.scale * (power * (f + f * more) + (power - 1.0)))
        value = where(tf.equal(power, 1.0), near, outer)
        clipped, power, shift = gaussian(residual, self.scale, 1.0)
        return value, clipped * shift * power
