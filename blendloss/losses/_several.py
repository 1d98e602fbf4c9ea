"""A loss that reads several outputs at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.signatures import takes
from blendloss.losses._keys import find_weight
from blendloss.losses._penalty import match_rank

_MEANS = ("sum_over_batch_size", "mean", "none", None)


def as_loss_of_several(name: str, loss: Any) -> Callable[[Any, Any], tf.Tensor]:
    """`loss` as a function of `(y_true, y_pred)` with a tuple or dict of tensors as `y_pred`.

    Raises:
        TypeError: for a loss of one tensor: a penalty, the name of a Keras loss, or one of Keras's own losses.
    """
    own = takes(loss, 2) and not getattr(loss, "__module__", "").startswith(("keras.", "blendloss."))
    if not own:
        raise TypeError(
            f"`{name}` of several outputs must be a function of (y_true, outputs), or a `keras.losses.Loss` whose "
            f"`call` takes them as a tuple or dict. Received: {name}={loss!r}"
        )
    if not isinstance(loss, keras.losses.Loss):
        return loss
    if type(loss).__call__ is not keras.losses.Loss.__call__ or loss.reduction not in _MEANS:
        raise TypeError(
            f"`{name}` of several outputs must have the `__call__` of `keras.losses.Loss` and reduce by a mean. "
            f"Received: {name}={loss!r} with reduction={loss.reduction!r}"
        )
    return loss.call


def weights_of_several(sample_weight: Any, chosen: Any) -> Any:
    """The sample weights of a loss that reads the outputs `chosen`: common to all, or given for one of them."""
    flat = tf.nest.flatten(chosen)
    if isinstance(sample_weight, Mapping):
        given = [find_weight(sample_weight, key) for key in flat]
    elif isinstance(sample_weight, (list, tuple)) and all(isinstance(key, int) for key in flat):
        given = [sample_weight[key] for key in flat]
    else:
        return sample_weight
    found = {id(one): one for one in given if one is not None}
    if len(found) > 1:
        raise ValueError(
            f"`sample_weight` must be given for one of the outputs {flat}, because one loss reads them all, or be the "
            f"same for all. Received: different weights of {len(found)} of them"
        )
    return next(iter(found.values()), None)


def mask_of_several(outputs: list[Any]) -> Any:
    """The common mask, bool: an element counts if it counts in all of `outputs`."""
    masks = [mask for mask in (getattr(output, "_keras_mask", None) for output in outputs) if mask is not None]
    if not masks:
        return None
    shapes = [tuple(mask.shape) for mask in masks]
    if any(len(shape) != len(shapes[0]) for shape in shapes):
        raise ValueError(f"Masks of outputs that one loss reads must have one shape. Received: shapes {shapes}")
    return tf.reduce_all([tf.cast(mask, tf.bool) for mask in masks], axis=0)


def targets_of_several(y_true: Any, outputs: Any, dtype: tf.DType) -> Any:
    """Targets in `dtype`, each at the rank of its output, or of the first output if their numbers differ."""
    targets, paired = tf.nest.flatten(y_true), tf.nest.flatten(outputs)
    if len(targets) != len(paired):
        paired = paired[:1] * len(targets)
    made = [_target(target, output, dtype) for target, output in zip(targets, paired, strict=True)]
    return tf.nest.pack_sequence_as(y_true, made)


def _target(target: Any, output: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    target = conversion.tensor("y_true", target)
    if target.dtype != tf.string:
        target = tf.cast(conversion.numbers("y_true", target), dtype)
    known = target.shape.rank is not None and output.shape.rank is not None
    return match_rank(target, output) if known else target
