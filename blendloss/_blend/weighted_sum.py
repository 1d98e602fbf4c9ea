"""The weighted sum of losses, and gradients that a loss with weight 0 cannot spoil."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.custom_gradient import custom_gradient


def weighted_sum(losses: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """sum_k g_k l_k over the last axis, where g_k = 0 keeps an infinite or NaN l_k out of value and gradients.

    dL/dl_k = g_k and dL/dg_k = l_k. If g_k = 0 and l_k is not finite, l_k counts as L itself: it adds nothing to the
    value, its gradient is 0, and dL/dg neither raises nor lowers its weight on the simplex. If L is not finite, l_k
    counts as 0.

    Args:
        losses: `[..., K]`, floating.
        weights: g, `[..., K]`, same dtype. Either broadcasts.

    Returns:
        `[...]`.
    """
    weights = weights + tf.zeros_like(losses)
    return _weighted_sum(tf.broadcast_to(losses, tf.shape(weights)), weights)


@custom_gradient
def _weighted_sum(losses: tf.Tensor, weights: tf.Tensor) -> Any:
    blend = tf.reduce_sum(tf.where(weights == 0, tf.zeros_like(losses), weights * losses), axis=-1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        off = (weights == 0) & ~tf.math.is_finite(losses)
        upstream, finite = upstream[..., tf.newaxis], tf.stop_gradient(blend)[..., tf.newaxis]
        finite = tf.where(tf.math.is_finite(finite), finite, tf.zeros_like(finite))
        return upstream * weights, upstream * tf.where(off, finite, losses)

    return blend, gradient


@custom_gradient
def block_nonfinite_gradient(values: tf.Tensor, off: tf.Tensor) -> Any:
    """`values`, whose gradient is 0 where `off` and not finite: 0 x inf in a loss with weight 0 stays inside it.

    A finite gradient is 0 there anyway. It passes unchanged, because a hypergradient needs its derivative in the
    weight.

    Args:
        values: any shape, floating.
        off: bool, scalar or broadcasting to `values`.
    """
    off = tf.identity(off)  # gradients of a gradient can reach the copy, even if `off` belongs to an outer graph

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
        lost = off & ~tf.math.is_finite(upstream)
        # Not `tf.where`, whose own gradient reads the shape of the result. TensorFlow adds gradients up in the buffer
        # of one without other readers: with a second reader, K > 2 are added in an order of chance.
        return tf.raw_ops.Select(condition=lost, x=tf.zeros_like(upstream), y=upstream), None

    return tf.identity(values), gradient


@custom_gradient
def masked_product(factor: tf.Tensor, slope: tf.Tensor, off: tf.Tensor) -> Any:
    """factor * slope, for a factor that is 0 where `off`: 0 there, even if the slope is infinite.

    Its gradients are those of a product through `block_nonfinite_gradient`, derived once.

    Args:
        factor: scalar, or `[rows, 1]`, floating; 0 where `off`.
        slope: any shape, or `[rows, M]`, floating.
        off: bool, of the factor's shape.
    """
    factor, slope, off = tf.identity(factor), tf.identity(slope), tf.identity(off)  # as in `block_nonfinite_gradient`

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, None]:
        lost = off & ~tf.math.is_finite(slope)
        alive = tf.where(lost, tf.zeros_like(slope), slope)
        axis = 1 if factor.shape.rank else None
        moved = tf.reduce_sum(upstream * alive, axis, keepdims=axis is not None)
        return moved, masked_product(factor, upstream, off), None

    return tf.where(off, tf.zeros_like(slope), factor * slope), gradient
