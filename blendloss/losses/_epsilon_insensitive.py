"""The epsilon-insensitive loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.losses._math.numerics import where
from blendloss.losses._penalty import Penalty


@register
class EpsilonInsensitive(Penalty):
    """Epsilon-insensitive: the loss of support vector regression; 0 for residuals within epsilon.

        rho(r) = max(|r| - epsilon, 0),    psi(r) = sign(r) for |r| > epsilon, 0 otherwise,    r = y_pred - y_true

    Its efficiency at the normal law rises from 0.637 at epsilon = 0 to 0.81 at about 0.6, and then falls.

    Args:
        epsilon: half the width of the insensitive tube, in units of the residual, at least 0.

    Returns:
        `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns the mean of rho over the last axis, `[batch, ...]`, in
        the dtype of `y_pred`.

    Raises:
        TypeError, ValueError: if `epsilon` is not a finite number of at least 0. When called, if the shapes differ.

    Example:
        >>> import blendloss as bl
        >>> bl.losses.EpsilonInsensitive(0.5)([0.0, 0.0], [0.25, -1.5]).numpy().tolist()
        [0.0, 1.0]

    References:
        Vapnik, The Nature of Statistical Learning Theory (1995), section 6.1.
    """

    tuned_argument = "epsilon"

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = checks.non_negative("epsilon", epsilon)

    def get_config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}

    def _value_and_slope(self, residual: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude = tf.abs(residual)
        within = magnitude <= self.epsilon
        return where(within, 0.0, magnitude - self.epsilon), where(within, 0.0, tf.sign(residual))
