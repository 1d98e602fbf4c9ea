"""The training rule of gates that look at the gradient of each loss."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss.gates import Needs
from blendloss.keras._layer_losses import add_regularization, added_values
from blendloss.keras._log_loss import log_loss
from blendloss.keras._targets import match_outputs
from blendloss.keras._trainable import Trainable


class LossGradientsRule:
    """The network follows the direction that a gate which `Needs.GRADIENTS` makes of the gradients of the losses."""

    def check(self, blend: Blend, overrides_compute_loss: bool) -> None:
        """Raises if the model has a loss of its own."""
        if overrides_compute_loss:
            raise TypeError(
                f"The gate {blend.gate.name!r} differentiates the blend's losses: `compute_loss` is not used."
            )

    def require_ready(self, blend: Blend) -> None:
        """Nothing else is needed."""

    def require_whole_step(self, blend: Blend) -> None:
        """Raises: one gradient of the blended loss is not the gate's direction."""
        raise ValueError(
            f"The gate {blend.gate.name!r} weighs losses by their gradients: let `train_step` call "
            "`super().train_step(data)`, or apply `self.blend.gradients(tape, values, variables, step=self.step)`. "
            "Received: a call of `compute_loss`"
        )

    def step(self, model: Trainable, data: Any) -> dict[str, Any]:
        """One step along the gate's direction, plus the gradient of regularization; gives the logs of Keras's step."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        blend, optimizer = model.blend, model.optimizer
        with tf.GradientTape(persistent=True) as tape:
            y_pred = model(x, training=True)
            matched = match_outputs(blend.functions, model.network, y, y_pred, sample_weight)
            values = blend.values(*matched, added=added_values(model))
            residuals = blend.residuals(*matched[:2]) if Needs.RESIDUAL_GRADIENTS in blend.gate.needs else None
            nothing = tf.zeros([], next(iter(values.values())).dtype)
            regularization = optimizer.scale_loss(add_regularization(nothing, model.losses))
        variables = model.trainable_variables
        one = tf.ones([])
        scaled = optimizer.scale_loss(one)
        scale = None if scaled is one else scaled
        features = x if Needs.FEATURES in blend.gate.needs else None
        gradients, output = blend.gradients(
            tape, values, variables, step=model.step, features=features, residuals=residuals, scale=scale
        )
        of_regularization = tape.gradient(regularization, variables)
        del tape
        model.log_output(output, y_pred)
        log_loss(model, add_regularization(output.value, model.losses), x)
        summed = [_add(gradient, other) for gradient, other in zip(gradients, of_regularization, strict=True)]
        optimizer.apply_gradients(zip(summed, variables, strict=True))
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def _add(gradient: tf.Tensor | None, other: tf.Tensor | None) -> tf.Tensor | None:
    if gradient is None or other is None:
        return other if gradient is None else gradient
    return gradient + other
