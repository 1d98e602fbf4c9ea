"""The absolute error."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.losses._penalty import ScaledPenalty


@register
class AbsoluteError(ScaledPenalty):
    """Absolute error: the median's loss, 2 / pi = 0.637 efficient at the normal.

        rho(r) = |r| / s,    psi(r) = sign(r) / s,    psi(0) = 0,    r = y_pred - y_true

    `AbsoluteError()` is exactly `keras.losses.mean_absolute_error`.

    Args:
        scale: s, positive.

    Returns:
        Calling it on `(y_true, y_pred)`, `[batch, ..., D]`, gives values `[batch, ...]`, as of `Penalty`.

    Raises:
        TypeError, ValueError: if `scale` is not a positive finite number; on calling, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> float(bl.losses.AbsoluteError()([[0.0, 0.0]], [[1.0, -2.0]])[0])
        1.5

    References:
        Laplace, Memoire sur la probabilite des causes par les evenemens (1774).
    """

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.abs(residual) / self.scale, tf.sign(residual) / self.scale
