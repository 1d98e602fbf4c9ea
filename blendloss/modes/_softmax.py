"""The softmax relaxation."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.custom_gradient import custom_gradient
from blendloss._internal.loss_axis import largest, total
from blendloss._internal.serialization import register
from blendloss.modes._relaxation import relax_in_float32


@register
def softmax(logits: Any) -> tf.Tensor:
    """Softmax: maps logits to positive weights on the simplex.

    p_k = exp(z_k) / sum_j exp(z_j), which maximizes <p, z> + H(p) with Shannon's entropy H. Every finite logit has a
    positive weight; a logit of -inf has weight exactly 0. Jacobian: diag(p) - p p^T.

    Args:
        logits: z, `[..., K]`, floating. Half precision is computed in float32 and rounded once.

    Returns:
        p, `[..., K]`, in the dtype of the logits, with sum 1 over the last axis.

    Raises:
        TypeError: if `logits` is not floating.

    Example:
        >>> import blendloss as bl
        >>> [round(float(p), 3) for p in bl.modes.softmax([0.0, 1.0])]
        [0.269, 0.731]

    References:
        Bridle, "Probabilistic interpretation of feedforward classification network outputs" (1990), eq. 1.
    """
    return relax_in_float32("logits", logits, _softmax)


@custom_gradient
def _softmax(logits: tf.Tensor) -> Any:
    # TensorFlow's kernel multiplies by a reciprocal. It is not exact on some processors: 1 / 1 was below 1.
    unscaled = tf.exp(logits - largest(logits))
    shares = unscaled / total(unscaled)
    return shares, lambda upstream: softmax_vjp(shares, upstream)


def softmax_vjp(shares: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """J^T u = p * (u - <p, u>), with the Jacobian J = diag(p) - p p^T of softmax at the value p; all `[..., K]`."""
    return shares * (upstream - total(shares * upstream))
