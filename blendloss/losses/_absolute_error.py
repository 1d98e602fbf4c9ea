"""The absolute error."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._penalty import ScaledPenalty


@register
class AbsoluteError(ScaledPenalty):
    """Absolute error: the median minimizes it; its efficiency at the normal law is 2 / pi = 0.637.

        rho(r) = |r| / s,    psi(r) = sign(r) / s,    psi(0) = 0,    r = y_pred - y_true

    `AbsoluteError()` is exactly `keras.losses.mean_absolute_error`.

    Args:
        scale: s, positive, in units of the residual.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> float(bl.losses.AbsoluteError()([[0.0, 0.0]], [[1.0, -2.0]])[0])
        1.5

    References:
        Laplace, Memoire sur la probabilite des causes par les evenemens (1774).
    """

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.abs(residual) / self.scale, tf.sign(residual) / self.scale
