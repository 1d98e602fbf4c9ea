"""The base of the estimators: gradients for a choice that has none."""

from __future__ import annotations

import tensorflow as tf

from blendloss.modes._mode import Mode
from blendloss.modes._relaxation import nan_where_broken


class Estimator(Mode):
    """A one-hot gating vector with an estimator's gradient in the logits. When not training, all take the largest."""

    one_hot = True


def one_hot_of_largest(logits: tf.Tensor) -> tf.Tensor:
    """The one-hot of the largest logit, the first among equals, without a gradient; NaN where softmax is NaN."""
    chosen = tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(logits)[-1], dtype=logits.dtype)
    chosen = tf.ensure_shape(chosen, logits.shape)
    # Argmax would hide a NaN, or that no loss is left, by choosing some loss.
    return nan_where_broken(chosen, logits - tf.reduce_max(logits, axis=-1, keepdims=True))


def straight_through(forward: tf.Tensor, backward: tf.Tensor) -> tf.Tensor:
    """`forward`, with the gradient of `backward`. The difference is exactly 0, so `forward` keeps its bits."""
    return tf.stop_gradient(forward) + (backward - tf.stop_gradient(backward))
