"""The output of a blend, and how the gate's cost is added."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._blend.batch import NO_BATCH, Batch
from blendloss._blend.example_values import Terms
from blendloss._internal.reductions import accurate_mean, per_replica, reduce, weights_of_elements


class BlendOutput(NamedTuple):
    """The output of a blend: its value, and every loss and weight for logging.

    Args:
        value: the blended loss L, a scalar (`[batch, ...]` with reduction "none"); differentiable.
        losses: the reduced losses l_k, `[K]`; NaN where a lazy hard mode did not evaluate one. No gradient.
        weights: the gating vector g, `[K]`; its mean over the batch for a per-example gate. No gradient.
        cost: what the gate added to the blend, a scalar; 0 for most gates. No gradient.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Fixed([0.5, 0.5]))
        >>> output = blend.compute([[0.0]], [[2.0]])
        >>> float(output.value), output.losses.numpy().tolist(), output.weights.numpy().tolist()
        (3.0, [4.0, 2.0], [0.5, 0.5])
        >>> float(output.cost)
        0.0
    """

    value: tf.Tensor
    losses: tf.Tensor
    weights: tf.Tensor
    cost: tf.Tensor


class BlendedGradients(NamedTuple):
    """The result of `Blend.gradients`: a gradient for each variable, and the output.

    Args:
        gradients: one for each of the variables, in their order, for `optimizer.apply_gradients`; None where the blend
            does not depend on one.
        output: the `BlendOutput` of the same losses.

    Returns:
        The record itself.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.Fixed([1.0, 2.0]))
        >>> w = tf.Variable(3.0)
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": w**2, "b": w * 1.0}
        >>> found = blend.gradients(tape, values, [w])
        >>> [round(float(gradient), 4) for gradient in found.gradients], round(float(found.output.value), 4)
        ([8.0], 15.0)
    """

    gradients: list[tf.Tensor | None]
    output: BlendOutput


def build_output(terms: Terms, cost: Any, batch: Batch, reduction: str | None) -> tuple[BlendOutput, tf.Tensor]:
    """The output of a call, with the gate's cost added to the blended losses; and the part of the cost that is scalar.

    Args:
        terms: the blended losses.
        cost: what `Gate.cost` gave.
        batch: the examples that a cost of all examples is averaged over.
        reduction: the blend's.
    """
    value = per_replica(terms.value, reduction)
    weights = terms.weights
    if weights.shape.rank > 1:  # of each example
        weights = accurate_mean(tf.transpose(tf.reshape(weights, [-1, weights.shape[-1]])))
    losses = tf.cast(terms.losses, weights.dtype)
    given = () if cost is None else cost if isinstance(cost, tuple) else (cost,)
    reduced = [_cost(part, value, batch, reduction) for part in given]
    means = [accurate_mean(tf.reshape(part, [-1])) for part, _ in reduced]  # of this replica, as the losses are
    costs = [per_replica(part, rule) for part, rule in reduced]
    nothing = tf.zeros([], value.dtype)
    mean_cost = sum(means, nothing)
    once = sum(
        (part for whole, part in zip(given, costs, strict=True) if not tf.convert_to_tensor(whole).shape.rank),
        nothing,
    )
    return BlendOutput(sum(costs, value), *map(tf.stop_gradient, (losses, weights, mean_cost))), once


def _cost(cost: tf.Tensor, value: tf.Tensor, batch: Batch, reduction: str | None) -> tuple[tf.Tensor, str | None]:
    """A cost of the gate, reduced as the blended `value` was, and the reduction that was."""
    cost = tf.cast(cost, value.dtype)
    if not cost.shape.rank:  # the gate's alone, not of the examples
        return cost, "mean" if value.shape.rank == 0 else "none"
    if batch is NO_BATCH:
        return tf.reduce_mean(cost), "mean"
    by_example = cost if cost.shape.rank == 1 else accurate_mean(cost)  # of each residual, as penalties are averaged
    by_example = tf.broadcast_to(by_example, tf.shape(batch.by_example))
    weights = weights_of_elements(by_example, batch.sample_weight, batch.mask, reduction)
    return reduce(by_example, weights, reduction), reduction
