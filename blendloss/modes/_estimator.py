"""The base of the estimators: gradients for a choice that has none."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.loss_axis import largest
from blendloss.modes._mode import Mode
from blendloss.modes._relaxation import nan_where_broken


class Estimator(Mode):
    """A one-hot gating vector, with an estimator's gradient in the logits.

    The base of what `Hard` takes. A subclass implements `weights`, as of a mode, and `get_config`. When not training,
    every estimator takes the largest logit.

    Returns:
        Calling it gives the one-hot vector, of the shape and dtype of the logits.

    Raises:
        ValueError: if it needs the step and none is given.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class Identity(bl.modes.Estimator):  # the gradient passes as if the choice were the logits themselves
        ...     def weights(self, logits, step, training):
        ...         chosen = tf.one_hot(tf.argmax(logits, -1), logits.shape[-1])
        ...         return chosen + (logits - tf.stop_gradient(logits))
        ...     def get_config(self):
        ...         return {}
        >>> bl.modes.Hard(Identity())([0.0, 2.0]).numpy().tolist()
        [0.0, 1.0]
    """


def one_hot_of_largest(logits: tf.Tensor) -> tf.Tensor:
    """The one-hot of the largest logit, the first among equals, without a gradient; NaN where softmax is NaN."""
    chosen = tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(logits)[-1], dtype=logits.dtype)
    chosen = tf.ensure_shape(chosen, logits.shape)
    # Argmax would hide a NaN, or that no loss is left, by choosing some loss.
    return nan_where_broken(chosen, logits - largest(logits))


def straight_through(forward: tf.Tensor, backward: tf.Tensor) -> tf.Tensor:
    """`forward`, with the gradient of `backward`. The difference is exactly 0, so `forward` keeps its bits."""
    return tf.stop_gradient(forward) + (backward - tf.stop_gradient(backward))
