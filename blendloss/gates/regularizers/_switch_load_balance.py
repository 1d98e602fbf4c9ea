"""The auxiliary loss of the Switch Transformer."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.regularizers._regularizer import Regularizer, mean_over_batch


@register
class SwitchLoadBalance(Regularizer):
    """Balances the choices over a batch: coefficient * K sum_k f_k P_k, the Switch Transformer's auxiliary loss.

    f_k is the fraction of the examples for which loss k has the largest share. P_k is the mean of s_k over the batch.
    No gradient flows through f. The value without the coefficient is 1 if all losses have equal shares, and K if one
    loss has all. It lowers the shares of the losses that are chosen most. For shares `[K]` it is K times the largest
    share.

    Args:
        coefficient: a number, or a schedule of the step; a positive one balances the losses.

    Returns:
        `regularizer(shares, step)` returns a scalar: float64 for float64 shares, else float32; 0 for an empty batch.
        Under `tf.distribute`, f and P are those of the whole batch.

    Raises:
        TypeError: if `coefficient` is neither a number nor a schedule.
        ValueError: if `coefficient` is not finite or not a scalar.

    Example:
        >>> import blendloss as bl
        >>> balance = bl.gates.regularizers.SwitchLoadBalance(1.0)
        >>> float(balance([[0.75, 0.25], [0.25, 0.75]])), float(balance([[0.75, 0.25], [0.75, 0.25]]))
        (1.0, 1.5)

    References:
        Fedus, Zoph and Shazeer, "Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient
        Sparsity", JMLR 23 (2022), eq. 4 to 6.

    Deviations:
        If several losses have the largest share of an example, each counts for a part. Argmax would count only the
        first: a gate that starts with equal shares would be pushed away from its first loss.
    """

    def penalty(self, shares: tf.Tensor) -> tf.Tensor:
        largest = tf.cast(shares == tf.reduce_max(shares, axis=-1, keepdims=True), shares.dtype)
        chosen = tf.math.divide_no_nan(largest, tf.reduce_sum(largest, axis=-1, keepdims=True))
        fractions = tf.stop_gradient(mean_over_batch(chosen))
        return shares.shape[-1] * tf.reduce_sum(fractions * mean_over_batch(shares))
