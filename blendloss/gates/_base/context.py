"""What a gate is given in a call."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from blendloss.gates._base.loss_gradients import LossGradients


class Context(NamedTuple):
    """What a gate may look at. Gradients flow through the residual alone, if the gate asks for that.

    Args:
        step: the training step, int64 scalar, or None.
        training: whether this is a training step; a gate that keeps running state updates it only then.
        residual: y_pred - y_true where the gate `Needs.RESIDUAL`: flattened, `[N]`, or of the predictions' shape
            for an `elementwise` gate; else None.
        counted: which elements count (unmasked, sample weight not 0), `[N]` bool; None is all.
        element_weights: how much each element counts (mask times sample weight), `[N]`; None is all alike.
        values: the reduced losses, `[K]`, where the gate `Needs.VALUES`; else None. Under `tf.distribute`, their mean
            over the replicas is the loss of the whole batch, also where the blend adds examples up.
        features: what the caller gave as `features`, where the gate `Needs.FEATURES`; else None.
        one_hot: whether the mode chooses one loss.
        gradients: the K losses' gradients, where the gate `Needs.GRADIENTS` and this is a training step; else None.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Context(step=3, training=True).residual is None
        True
    """

    step: tf.Tensor | None
    training: bool
    residual: tf.Tensor | None = None
    counted: tf.Tensor | None = None
    element_weights: tf.Tensor | None = None
    values: tf.Tensor | None = None
    features: Any = None
    gradients: LossGradients | None = None
    one_hot: bool = False
