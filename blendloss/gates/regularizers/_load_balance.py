"""The balance of the losses' importance over a batch."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.regularizers._regularizer import Regularizer, mean_over_batch


@register
class LoadBalance(Regularizer):
    """Balances the losses over a batch: coefficient * CV(importance)^2, importance_k = sum of s_k over the batch.

    CV is the coefficient of variation over the K losses: standard deviation / mean. With the batch's mean shares P,
    CV^2 = K sum_k P_k^2 - 1: 0 if all losses have equal shares, K - 1 if one loss has all. Unlike `Entropy`, it allows
    each example its own choice. Shares `[K]` count as a batch of one, and are pulled towards equal shares.

    Args:
        coefficient: a number, or a schedule of the step; a positive one balances the losses.

    Returns:
        `regularizer(shares, step)` returns a scalar: float64 for float64 shares, else float32; 0 for an empty batch.
        Under `tf.distribute`, the importance is that of the whole batch, summed over the replicas.

    Raises:
        TypeError: if `coefficient` is neither a number nor a schedule.
        ValueError: if `coefficient` is not finite or not a scalar.

    Example:
        >>> import blendloss as bl
        >>> balance = bl.gates.regularizers.LoadBalance(1.0)
        >>> float(balance([[1.0, 0.0], [0.0, 1.0]])), float(balance([[1.0, 0.0], [1.0, 0.0]]))
        (0.0, 1.0)

    References:
        Shazeer et al., "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer", ICLR 2017,
        eq. 6 and 7.

    Deviations:
        none; the variance divides by K, as in the authors' code.
    """

    def penalty(self, shares: tf.Tensor) -> tf.Tensor:
        importance = mean_over_batch(shares)  # CV has no units, so the mean may replace the sum
        mean = tf.reduce_mean(importance)
        variance = tf.reduce_mean(tf.square(importance - mean))
        return tf.math.divide_no_nan(variance, tf.square(mean))
