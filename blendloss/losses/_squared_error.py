"""The squared error."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._penalty import ScaledPenalty


@register
class SquaredError(ScaledPenalty):
    """Squared error: least squares, with Keras's convention of no factor 1/2.

        rho(r) = (r / s)^2,    psi(r) = 2 r / s^2,    r = y_pred - y_true

    `SquaredError()` is exactly `keras.losses.mean_squared_error`; its curvature at 0 is 2 / s^2, twice that of the
    robust penalties of this package, which are r^2 / 2 near 0.

    Args:
        scale: s, positive.

    Returns:
        Calling it on `(y_true, y_pred)`, `[batch, ..., D]`, gives values `[batch, ...]`, as of `Penalty`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number; on calling, if the shapes differ.

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
