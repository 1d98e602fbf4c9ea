"""What a gate is given in a call: the step, and the parts of the batch that it needs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._blend.batch import NO_BATCH, Batch
from blendloss._internal import checks, conversion
from blendloss._internal.reductions import weights_of_elements
from blendloss._internal.step import integer_step
from blendloss.gates import Context, Gate, MetricGate, Needs
from blendloss.losses._penalty import align
from blendloss.modes import Mode


def build_context(
    gate: Gate, mode: Mode, losses_train: bool, step: Any, training: bool, batch: Batch, features: Any
) -> Context:
    """The context of a call, but for the losses' values and gradients.

    Args:
        gate: whose needs are met.
        mode: which may follow the step, too.
        losses_train: whether a loss has variables that train.
        step: the training step, or None.
        training: whether this is a training step.
        batch: whose residual a gate may look at.
        features: what the caller gave, or None.
    """
    reasons = reasons_for_step(gate, mode, losses_train)
    if step is None and reasons:
        raise ValueError(
            f"This blend needs the step: {'; '.join(reasons)}. Pass `step=optimizer.iterations` in a loop of your "
            "own, and apply gradients to `blend.trainable_variables` there; or use `BlendedModel(network, blend)`. "
            "A plain `compile(loss=blend)` does neither. Received: step=None"
        )
    context = Context(None if step is None else integer_step(step), checks.boolean("training", training))
    context = context._replace(one_hot=mode.one_hot)
    if Needs.FEATURES in gate.needs:
        if features is None:
            raise ValueError(f"The gate {gate.name!r} chooses by features: pass `features=`. Received: None")
        context = context._replace(features=tf.nest.map_structure(tf.stop_gradient, features))
    if Needs.RESIDUAL not in gate.needs:
        return context
    if batch is NO_BATCH:
        raise ValueError(f"The gate {gate.name!r} needs residuals, which `combine` has not: call the blend.")
    y_true, y_pred = align(tf.cast(conversion.numbers("y_true", batch.y_true), batch.y_pred.dtype), batch.y_pred)
    residual = y_pred - y_true if Needs.RESIDUAL_SLOPE in gate.needs else tf.stop_gradient(y_pred - y_true)
    weights = weights_of_elements(residual, batch.sample_weight, batch.mask, "sum")
    counted = None
    if weights is not None:
        weights = tf.reshape(tf.broadcast_to(weights, tf.shape(residual)), [-1])
        counted = weights != 0
    if not gate.elementwise:
        residual = tf.reshape(residual, [-1])
    return context._replace(residual=residual, counted=counted, element_weights=weights)


def reasons_for_step(gate: Gate, mode: Mode, losses_train: bool) -> list[str]:
    """Why a call must be given the step; empty if it need not."""
    unobserved = isinstance(gate, MetricGate) and not gate.metric_observed
    reasons = (
        (bool(gate.trainable_variables), f"the gate {gate.name!r} trains"),
        (losses_train, "a loss trains"),
        (unobserved, f"the gate {gate.name!r} watches a metric that nothing shows it"),
        (gate.stateful, f"the gate {gate.name!r} keeps a running state"),
        (Needs.STEP in gate.needs, f"the gate {gate.name!r} follows the step"),
        (mode.needs_step, f"the mode {type(mode).__name__} follows the step"),
    )
    return [reason for applies, reason in reasons if applies]
