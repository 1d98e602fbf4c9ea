"""The 1.5-entmax relaxation."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.loss_axis import largest, total
from blendloss._internal.serialization import register
from blendloss.modes._relaxation import propagate_nan, relax_in_float32


@register
def entmax15(logits: Any) -> tf.Tensor:
    """1.5-entmax: between softmax and sparsemax; smooth where positive, and exactly 0 for small logits.

    p = max(z/2 - tau, 0)^2, which maximizes <p, z> + H(p) with Tsallis' entropy of order 1.5. On the support S,
    with mean M and sum of squared deviations D of z/2 over S, tau = M - sqrt((1 - D) / |S|).
    Jacobian: diag(s) - s s^T / sum(s), with s = sqrt(p).

    Args:
        logits: z, `[..., K]`, floating. Half precision is computed in float32 and rounded once.

    Returns:
        p, `[..., K]`, in the dtype of the logits, with sum 1 over the last axis. Ties get equal weights.

    Raises:
        TypeError: if `logits` is not floating.

    Example:
        >>> import blendloss as bl
        >>> [round(float(p), 3) for p in bl.modes.entmax15([0.0, 0.5, 4.0])]
        [0.0, 0.0, 1.0]
        >>> [round(float(p), 3) for p in bl.modes.entmax15([0.0, 1.0])]
        [0.169, 0.831]

    References:
        Peters, Niculae and Martins, "Sparse Sequence-to-Sequence Models", ACL 2019, algorithm 2 and proposition 2.
    """
    return relax_in_float32("logits", logits, _entmax15)


def _entmax15(logits: tf.Tensor) -> tf.Tensor:
    half = (logits - largest(logits)) / 2
    support = tf.stop_gradient(half) > _threshold(tf.stop_gradient(half))
    # For a given support the threshold is a closed form, so autodiff of these lines gives the exact Jacobian.
    kept = tf.cast(support, logits.dtype)
    size = total(kept)
    inside = tf.where(support, half, tf.zeros_like(half))
    mean = total(inside) / size
    deviation = total(tf.where(support, tf.square(inside - mean), tf.zeros_like(half)))
    threshold = mean - tf.sqrt((1 - deviation) / size)
    return propagate_nan(tf.where(support, tf.square(inside - threshold), tf.zeros_like(half)), half)


def _threshold(half: tf.Tensor) -> tf.Tensor:
    # The threshold is at least -1, so lower logits have weight 0. Clipping them at -1 keeps sums finite at -inf.
    ordered = tf.sort(tf.maximum(half, -tf.ones_like(half)), axis=-1, direction="DESCENDING")
    size = tf.cast(tf.range(1, tf.shape(ordered)[-1] + 1), ordered.dtype)
    mean = tf.cumsum(ordered, axis=-1) / size
    deviation = tf.maximum(tf.cumsum(tf.square(ordered), axis=-1) - size * tf.square(mean), 0)
    root = tf.sqrt(tf.maximum((1 - deviation) / size, 0))
    candidates = mean - root
    # As the support grows, its threshold rises to the right one. The threshold of too large a support exceeds its
    # smallest logit (it is the mean if 1 - D is negative).
    return largest(tf.where(candidates <= ordered, candidates, -tf.ones_like(ordered)))
