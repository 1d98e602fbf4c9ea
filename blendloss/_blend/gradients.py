"""The gradient of a blend in each variable, by a gate that may look at the gradient of each loss."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._blend.batch import NO_BATCH, to_compute_dtype
from blendloss._blend.objective import Objective
from blendloss._blend.output import BlendedGradients
from blendloss._internal import checks, conversion
from blendloss._internal.assertions import require
from blendloss._internal.reductions import per_replica
from blendloss.gates import Context, GradientGate, LossGradients, Needs


def compute_gradients(
    objective: Objective,
    tape: tf.GradientTape,
    values: list[tf.Tensor],
    variables: list[Any],
    step: Any,
    features: Any,
    residuals: list[tf.Tensor] | None,
    scale: Any,
) -> BlendedGradients:
    """What `Blend.gradients` gives; `values` and `residuals` are in the order of the losses."""
    gate = objective.gate
    _check(objective, tape, values)
    scale = check_scale(scale)
    own = {id(variable) for variable in gate.trainable_variables}
    of_gate = [variable for variable in variables if id(variable) in own]
    if own and not of_gate:
        raise ValueError(
            f"`variables` must have those of the gate {gate.name!r}, which would never train otherwise: "
            "network.trainable_variables + blend.trainable_variables. Received: none of them"
        )
    # A mean over replicas is a share of it on each: the optimizer adds up.
    share = per_replica(tf.ones([], values[0].dtype), objective.reduction)
    measured: Any = gate.measured if isinstance(gate, GradientGate) else "shared"
    of_network = [variable for variable in variables if id(variable) not in own]
    losses = LossGradients(tape, values, of_network, measured, share=share, scale=scale, residuals=residuals)

    context = objective.context(step, True, NO_BATCH, features)
    if Needs.GRADIENTS in gate.needs:
        context = context._replace(gradients=losses)
    # dL/dl_k is the weight of loss k, whatever mode, total and reduction made of the logits: the weights are recovered
    # by differentiating the blend. What the gate computes from the network's variables, such as a pass for each
    # residual, need not be recorded.
    with tf.GradientTape(watch_accessed_variables=False) as inner:
        inner.watch([*values, *(variable.value for variable in of_gate)])
        given = objective.losses.given_in_order([to_compute_dtype(value) for value in values])
        output, _ = objective.blend(given, context)
    sources = values, [variable.value for variable in of_gate]
    slopes, of_own = inner.gradient(output.value, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    weights = tf.stack([tf.cast(slope, share.dtype) / share for slope in slopes])
    if isinstance(gate, GradientGate):
        found = gate.combined(weights, losses, context)
        of_own = _by_the_gate(gate, context, of_gate, weights) or of_own
    else:
        found = losses.combined(weights)
    if scale is not None:
        of_own = [tf.cast(scale, gradient.dtype) * gradient for gradient in of_own]
    by_id = dict(zip(map(id, of_network + of_gate), [*found, *of_own], strict=True))
    return BlendedGradients([by_id[id(variable)] for variable in variables], output)


def check_scale(scale: Any) -> Any:
    """`scale`, None or a positive finite scalar; what only the running graph knows is checked there."""
    if scale is None or isinstance(scale, (int, float)):
        return None if scale is None else tf.constant(checks.positive("scale", scale))
    tensor = conversion.real("scale", scale)
    if tensor.shape.rank != 0:
        raise ValueError(f"`scale` must be a scalar. {checks.received('scale', scale, tensor)}")
    tensor = tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)
    return require((tensor > 0) & tf.math.is_finite(tensor), "`scale` must be positive and finite.", tensor)


def _check(objective: Objective, tape: tf.GradientTape, values: list[tf.Tensor]) -> None:
    if not isinstance(tape, tf.GradientTape):
        raise TypeError(f"`tape` must be a tf.GradientTape that recorded the values. {checks.received('tape', tape)}")
    if not objective.reduces:
        raise ValueError(
            f"A blend that does not reduce has no one gradient. Received: reduction={objective.reduction!r}"
        )
    for name, value in zip(objective.losses.names, values, strict=True):
        if value.shape.rank != 0:
            raise ValueError(f"`values` must be scalars, as `blend.values` gives them. Received: {name} {value.shape}")
    if Needs.GRADIENTS in objective.gate.needs and not getattr(tape, "_persistent", True):
        raise ValueError(
            "`tape` must be persistent, as each loss is differentiated by itself: tf.GradientTape(persistent=True). "
            "Received: one that is not"
        )


def _by_the_gate(
    gate: GradientGate, context: Context, of_gate: list[Any], weights: tf.Tensor
) -> list[tf.Tensor] | None:
    """The gradients that the gate's method gives its own variables, of which each replica has its share.

    They are 0 in a step whose weights are not finite, which the gate forgets. That ties them to the weights: in a loop
    over steps (`steps_per_execution`) TensorFlow's optimizer of graphs drops the order of a variable's read and its
    update where no value leads from the one to the other, and the weights would be of a later step by chance.
    """
    found = gate.own_gradients(context) if of_gate else None  # none of a gate that is frozen
    if found is None:
        return None
    finite = tf.reduce_all(tf.math.is_finite(weights))
    tied = [tf.where(finite, gradient, tf.zeros_like(gradient)) for gradient in found]
    of_each = dict(zip(map(id, gate.trainable_variables), tied, strict=True))
    return [per_replica(of_each[id(variable)], "mean") for variable in of_gate]  # the same on each
