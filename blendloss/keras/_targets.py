"""Targets and outputs as Keras's users give them, brought to the form in which a blend's losses read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from blendloss.losses import AddedLoss, OutputLoss


def check_targets(losses: Any, x: Any, y: Any) -> None:
    """Raises for arrays without targets, or with ragged ones, before anything is traced."""
    if not all(hasattr(array, "shape") for array in tf.nest.flatten(x)):
        return
    needed = not all(
        isinstance(loss, AddedLoss) or (isinstance(loss, OutputLoss) and isinstance(loss.target, float))
        for loss in losses
    )
    if y is None and needed:
        raise ValueError(
            "`y` must be given: the losses compare predictions with it. Only an `OutputLoss` with a float as `target` "
            "and an `AddedLoss` need none. Received: y=None"
        )
    if any(isinstance(part, tf.RaggedTensor) for part in tf.nest.flatten(y)):
        raise TypeError(
            "`y` must be dense: pad it, as by `y.to_tensor()`, and give `sample_weight=` with 0 for the padding. "
            "Received: a RaggedTensor"
        )


def match_outputs(
    losses: Mapping[str, Any], network: keras.Layer, y: Any, y_pred: Any, sample_weight: Any
) -> tuple[Any, Any, Any]:
    """`y`, `y_pred` and `sample_weight` as `losses` read them, for a network whose outputs are not a dict.

    As in Keras, the outputs of a list have names, those of the layers: targets and losses may be given by name or in
    order. A list of one output is that output.

    Args:
        losses: losses by name.
        network: what gave the predictions.
        y: targets: a list, or a dict by name.
        y_pred: what the network gave.
        sample_weight: None, weights of all outputs, a list, or a dict by name.
    """
    keys = tf.nest.flatten([loss.output for loss in losses.values() if isinstance(loss, OutputLoss)])
    names = getattr(network, "output_names", None)
    if isinstance(y_pred, Mapping):
        return y, y_pred, sample_weight
    if not _listed(y_pred):
        y, sample_weight = (part[0] if _listed(part) and len(part) == 1 else part for part in (y, sample_weight))
        y_pred = [y_pred] if keys else y_pred
    if not names or not _listed(y_pred) or len(names) != len(y_pred):
        return y, y_pred, sample_weight
    if any(isinstance(key, str) for key in keys):
        named = [dict(zip(names, part, strict=True)) if _listed(part) else part for part in (y, y_pred, sample_weight)]
        return named[0], named[1], named[2]
    if isinstance(y, Mapping) and set(y) == set(names):
        y = [y[name] for name in names]
    if isinstance(sample_weight, Mapping) and set(sample_weight) <= set(names):
        sample_weight = [sample_weight.get(name) for name in names]
    return y, y_pred, sample_weight


def _listed(structure: Any) -> bool:
    return isinstance(structure, (list, tuple))
