"""The losses that the layers of a network added: those that a blend weighs, and the others, which regularize."""

from __future__ import annotations

import tensorflow as tf

from blendloss._blend.batch import to_compute_dtype
from blendloss._internal.reductions import per_replica
from blendloss.keras._trainable import Trainable
from blendloss.losses import AddedLoss


def added_values(model: Trainable) -> dict[str, tf.Tensor]:
    """For each `AddedLoss` of the model's blend, the sum of what its layer added in the last call.

    Each replica has its share, as of Keras's added losses: the blend divides a mean, but not a sum.
    """
    found = {}
    for name, tensors in _tensors(model).items():
        if not tensors:
            raise ValueError(
                f"The layer {model.blend.functions[name].layer!r} must add a loss with `add_loss` in each call, which "
                f"the blend weighs as {name!r}. Received: none"
            )
        value = tf.add_n([tf.reduce_sum(to_compute_dtype(tensor)) for tensor in tensors])
        found[name] = per_replica(value, "mean") if model.blend.reduction == "sum" else value
    return found


def without_added(model: Trainable, losses: list[tf.Tensor]) -> list[tf.Tensor]:
    """`losses` without those that the blend weighs."""
    taken = {id(tensor) for tensors in _tensors(model).values() for tensor in tensors}
    return [loss for loss in losses if id(loss) not in taken]


def add_regularization(total: tf.Tensor, losses: list[tf.Tensor]) -> tf.Tensor:
    """`total` plus regularization losses, of which each replica has its share."""
    for loss in losses:
        total += per_replica(tf.cast(tf.reduce_sum(loss), total.dtype), "mean")
    return total


def _tensors(model: Trainable) -> dict[str, list[tf.Tensor]]:
    """What the layer of each `AddedLoss` added, and the layers in it."""
    named = {name: loss for name, loss in model.blend.functions.items() if isinstance(loss, AddedLoss)}
    if not named:
        return {}
    # Keras's public `losses` says neither which layer added a loss, nor which losses are regularizers of weights.
    layers, found = model.network._flatten_layers(), {}
    seen: set[int] = set()
    for name, loss in named.items():
        matching = [layer for layer in layers if layer.name == loss.layer]
        if len(matching) != 1:
            raise ValueError(
                f"The network must have one layer named {loss.layer!r}, of the loss {name!r}, and has {len(matching)}. "
                f"Received: layers {sorted({layer.name for layer in layers})}"
            )
        parts = matching[0]._flatten_layers()
        if seen & set(map(id, parts)):
            raise ValueError(f"A layer's loss must be named once. Received: {list(named.values())}")
        seen |= set(map(id, parts))
        found[name] = [tensor for part in parts for tensor in part._get_own_losses()]
    return found
