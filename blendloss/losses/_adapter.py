"""Whatever computes per-example values, behind one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss import _inputs
from blendloss._checks import received, shown
from blendloss._signatures import takes
from blendloss.losses._penalty import Penalty

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "none", None)


class AdaptedLoss:
    """A Keras loss as `(y_true, y_pred) -> per-example values`; the original is in `loss`."""

    def __init__(self, loss: keras.losses.Loss | str, values: Callable[[Any, Any], tf.Tensor]) -> None:
        self.loss = loss
        self._values = values

    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Unreduced values, `[batch, ...]`, as Keras's own loss functions return them."""
        y_true, y_pred = _inputs.numbers("y_true", y_true), _inputs.real("y_pred", y_pred)
        if y_true.shape.rank == y_pred.shape.rank == 1:  # to Keras a single example; here a batch of scalars
            y_true, y_pred = y_true[:, tf.newaxis], y_pred[:, tf.newaxis]
        try:
            return self._values(y_true, y_pred)
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                f"`y_true` and `y_pred` must have shapes and values that {shown(self.loss)} takes. "
                f"Received: shapes {y_true.shape} and {y_pred.shape}; {shown(error)}"
            ) from error


def as_loss(name: str, loss: Any) -> Callable[[Any, Any], tf.Tensor]:
    """`loss` as a function of `(y_true, y_pred)` that returns per-example values.

    Args:
        name: the argument's name, for messages.
        loss: a penalty or any other callable, which is returned as it is; a `keras.losses.Loss`, of which the unreduced
            values are taken; or the name of a Keras loss, such as "mse".

    Returns:
        A callable; an `AdaptedLoss`, whose `loss` is the original, for Keras's losses and names.

    Raises:
        ValueError: for an unknown name, or a Keras loss whose reduction is not a mean (or none).
        TypeError: for anything else.
    """
    if isinstance(loss, (Penalty, AdaptedLoss)):
        return loss
    if isinstance(loss, str):
        try:
            found = keras.losses.get(loss)
        except ValueError:
            raise ValueError(f"`{name}` must be the name of a Keras loss. Received: {name}={loss!r}") from None
        return AdaptedLoss(loss, found.call if isinstance(found, keras.losses.Loss) else found)
    if isinstance(loss, keras.losses.Loss):
        if loss.reduction not in _MEANS:
            raise ValueError(
                f"`{name}` must reduce by a mean or not at all: the blend reduces the per-example values itself. "
                f"Received: reduction={loss.reduction!r}"
            )
        return AdaptedLoss(loss, loss.call)
    if takes(loss, 2):
        return loss
    raise TypeError(
        f"`{name}` must be a penalty, a Keras loss or its name, or a function of (y_true, y_pred). "
        f"{received(name, loss)}"
    )
