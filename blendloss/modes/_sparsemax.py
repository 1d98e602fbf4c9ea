"""The sparsemax relaxation."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.loss_axis import largest, total
from blendloss._internal.serialization import register
from blendloss.modes._relaxation import propagate_nan, relax_in_float32


@register
def sparsemax(logits: Any) -> tf.Tensor:
    """Sparsemax: the Euclidean projection onto the simplex; small weights are exactly 0.

    p = argmin over the simplex of ||p - z||^2 = max(z - tau, 0), with the threshold tau for which p sums to 1.
    On the support S (where p > 0), tau = (sum_S z - 1) / |S|. Jacobian: diag(s) - s s^T / |S|, with s the indicator
    of S.

    Args:
        logits: z, `[..., K]`, floating. Half precision is computed in float32 and rounded once.

    Returns:
        p, `[..., K]`, in the dtype of the logits, with sum 1 over the last axis. Ties get equal weights.

    Raises:
        TypeError: if `logits` is not floating.

    Example:
        >>> import blendloss as bl
        >>> [round(float(p), 3) for p in bl.modes.sparsemax([0.0, 0.5, 2.0])]
        [0.0, 0.0, 1.0]
        >>> [round(float(p), 3) for p in bl.modes.sparsemax([0.0, 0.5])]
        [0.25, 0.75]

    References:
        Martins and Astudillo, "From Softmax to Sparsemax", ICML 2016, algorithm 1 and eq. 9.
    """
    return relax_in_float32("logits", logits, _sparsemax)


def _sparsemax(logits: tf.Tensor) -> tf.Tensor:
    shifted = logits - largest(logits)
    support = tf.stop_gradient(shifted) > _threshold(tf.stop_gradient(shifted))
    # For a given support the threshold is linear in the logits, so autodiff of this line gives the exact Jacobian.
    size = total(tf.cast(support, logits.dtype))
    threshold = (total(tf.where(support, shifted, tf.zeros_like(shifted))) - 1) / size
    return propagate_nan(tf.where(support, shifted - threshold, tf.zeros_like(shifted)), shifted)


def _threshold(shifted: tf.Tensor) -> tf.Tensor:
    # Logits 1 or more below the maximum have weight 0. Clipping them at -1 keeps sums finite at -inf.
    ordered = tf.sort(tf.maximum(shifted, -tf.ones_like(shifted)), axis=-1, direction="DESCENDING")
    size = tf.cast(tf.range(1, tf.shape(ordered)[-1] + 1), ordered.dtype)
    # As the support grows, its threshold rises to the right one, and then falls.
    return largest((tf.cumsum(ordered, axis=-1) - 1) / size)
