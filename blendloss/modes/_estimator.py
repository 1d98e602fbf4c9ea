"""The base of the estimators, which define a gradient for a discrete choice."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.loss_axis import largest
from blendloss.modes._mode import Mode
from blendloss.modes._relaxation import propagate_nan


class Estimator(Mode):
    """A one-hot gating vector, with an estimator's gradient in the logits.

    The base of the estimators that `Hard` takes. A subclass implements `weights`, as every mode does, and `get_config`.
    Outside training, every estimator chooses the largest logit.

    Returns:
        `estimator(logits, step)` returns the one-hot vector, in the shape and dtype of the logits.

    Raises:
        ValueError: if the estimator needs the step and none is given.

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
    """The one-hot vector of the largest logit, the first if several are equal. No gradient. NaN if softmax is NaN."""
    chosen = tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(logits)[-1], dtype=logits.dtype)
    chosen = tf.ensure_shape(chosen, logits.shape)
    # Argmax chooses some loss even if a logit is NaN or all are -inf, and would hide that.
    return propagate_nan(chosen, logits - largest(logits))


def straight_through(forward: tf.Tensor, backward: tf.Tensor) -> tf.Tensor:
    """`forward` with the gradient of `backward`. The added difference is exactly 0, so `forward` keeps every bit."""
    return tf.stop_gradient(forward) + (backward - tf.stop_gradient(backward))
