"""The squared error."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._penalty import ScaledPenalty


@register
class SquaredError(ScaledPenalty):
    """Squared error (least squares) without a factor 1/2, as in Keras.

        rho(r) = (r / s)^2,    psi(r) = 2 r / s^2,    r = y_pred - y_true

    `SquaredError()` is exactly `keras.losses.mean_squared_error`. Its curvature is 2 / s^2. The robust penalties of
    this package are r^2 / 2 near 0 and have the curvature 1 there.

    Args:
        scale: s, positive, in units of the residual.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> float(bl.losses.SquaredError()([[0.0, 0.0]], [[1.0, 2.0]])[0])
        2.5

    References:
        Gauss, Theoria combinationis observationum erroribus minimis obnoxiae (1823).
    """

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        u = residual / self.scale
        return u * u, 2.0 * u / self.scale
