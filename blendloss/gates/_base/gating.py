"""What a gate gives, and how it is made of weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Gating(NamedTuple):
    """What a gate gives: logits for the mode, the total of the weights, and the scale of the residuals.

    The gating vector is g = total * shares, shares = mode(logits), and blends the penalties of r / scale. Logits log w
    with total sum(w) make soft gating give w itself.

    Args:
        logits: `[K]` or `[batch, K]`, or the predictions' shape and K from an `elementwise` gate; -inf excludes a loss.
        total: what the weights sum to: scalar, or `[batch, 1]`; or `[K]`, a factor for each share.
        scale: what residuals are divided by, scalar or `[K]`, from a gate that `Needs.PENALTIES`; None is 1.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Gating(logits=[0.0, 0.0]).total
        1.0
    """

    logits: tf.Tensor
    total: Any = 1.0
    scale: Any = None


def gating_from_weights(weights: tf.Tensor) -> Gating:
    """The `Gating` whose soft weights are `weights` `[..., K]` (non-negative, not all 0)."""
    total = tf.reduce_sum(weights, axis=-1, keepdims=weights.shape.rank > 1)
    return Gating(tf.math.log(weights), total)


def gating_from_signed_weights(weights: tf.Tensor) -> Gating:
    """The `Gating` whose soft weights are `weights` `[K]`, of any sign, or all 0."""
    size = tf.reduce_sum(tf.abs(weights))
    nothing = size == 0  # whose logarithms are no logits
    logits = tf.where(nothing, tf.zeros_like(weights), tf.math.log(tf.abs(weights)))
    return Gating(logits, tf.sign(weights) * size)


def one_hot_logits(stage: tf.Tensor, k: int, dtype: Any) -> tf.Tensor:
    """Logits that choose the loss with index `stage`: 0 there and -inf elsewhere."""
    chosen = tf.range(k) == tf.cast(stage, tf.int32)
    return tf.where(chosen, tf.constant(0.0, dtype), tf.constant(float("-inf"), dtype))
