"""One training step of a gate that looks at the gradient of each loss."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss.gates import Needs
from blendloss.keras._added_losses import added_values
from blendloss.keras._log_loss import log_loss


def gradient_step(model: Any, data: Any) -> Any:
    """One step of `model`, a `BlendedModel` whose gate `Needs.GRADIENTS`; gives what Keras's own step does."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    blend = model.blend
    with tf.GradientTape(persistent=True) as tape:
        y_pred = model(x, training=True)
        read = model.by_name(y, y_pred, sample_weight)
        values = blend.values(*read, added=added_values(model))
        residuals = blend.residuals(*read[:2]) if Needs.RESIDUAL_GRADIENTS in blend.gate.needs else None
        nothing = tf.zeros([], next(iter(values.values())).dtype)
        regularization = model.optimizer.scale_loss(model.with_losses(nothing, model.losses))
    variables = model.trainable_variables
    one = tf.ones([])
    scaled = model.optimizer.scale_loss(one)
    scale = None if scaled is one else scaled
    features = x if Needs.FEATURES in blend.gate.needs else None
    gradients, output = blend.gradients(
        tape, values, variables, step=model.step, features=features, residuals=residuals, scale=scale
    )
    of_regularization = tape.gradient(regularization, variables)
    del tape
    model.log_output(output, y_pred)
    model.logged_at.assign(model.step)
    log_loss(model, model.with_losses(output.value, model.losses), x)
    summed = [_added(gradient, other) for gradient, other in zip(gradients, of_regularization, strict=True)]
    model.optimizer.apply_gradients(zip(summed, variables, strict=True))
    return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _added(gradient: tf.Tensor | None, other: tf.Tensor | None) -> tf.Tensor | None:
    if gradient is None or other is None:
        return other if gradient is None else gradient
    return gradient + other
