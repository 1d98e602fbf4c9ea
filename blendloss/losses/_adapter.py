"""One signature, `(y_true, y_pred) -> per-example values`, for all kinds of losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.checks import received, shown
from blendloss._internal.signatures import takes
from blendloss.losses._adaptive_barron import AdaptiveBarron
from blendloss.losses._penalty import Penalty

_OWN = ("sum", "mean_with_sample_weight")

# These only reduce the values that `call` returns, or return them unchanged.
_CALLS_OF_VALUES = (keras.losses.Loss.__call__, keras.Layer.__call__, AdaptiveBarron.__call__)


class AdaptedLoss:
    """A Keras loss as a function `(y_true, y_pred) -> per-example values`; `loss` is the original.

    Args:
        loss: a Keras loss, or the name of one.
        values: a function that returns the unreduced values; None if the loss has its own `__call__`, which reduces
            them.
    """

    def __init__(self, loss: keras.losses.Loss | str, values: Callable[[Any, Any], tf.Tensor] | None) -> None:
        self.loss = loss
        self.has_own_call = values is None
        self._values = values

    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Unreduced values, `[batch, ...]`, as Keras's own loss functions return them."""
        if self._values is None:
            raise ValueError(
                "A loss with its own `__call__` has no values by example, because that call reduces them. "
                f"Received: {self.loss!r}"
            )
        y_true, y_pred = _as_columns(conversion.numbers("y_true", y_true), conversion.real("y_pred", y_pred))
        try:
            return self._values(y_true, y_pred)
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                f"`y_true` and `y_pred` must have shapes and values that {shown(self.loss)} takes. "
                f"Received: shapes {y_true.shape} and {y_pred.shape}; {shown(error)}"
            ) from error

    def reduces_itself(self, reduction: str | None, weighed: bool) -> bool:
        """Whether the loss is reduced by its own rule, not by that of the blend.

        Args:
            reduction: the blend's reduction.
            weighed: whether there are sample weights or a mask.
        """
        own = getattr(self.loss, "reduction", None)
        if own == "mean_with_sample_weight" and not weighed:
            own = "mean"
        return self.has_own_call or (own in _OWN and own != reduction)

    def reduced(self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> Any:
        """The loss of a batch, reduced by its own `__call__` and reduction; on replicas, each replica's part."""
        if not self.has_own_call:
            y_true, y_pred = _as_columns(y_true, y_pred)
        y_pred = tf.identity(y_pred)  # the caller's tensor must not keep the mask
        if mask is not None:
            y_pred._keras_mask = mask
        loss: Any = self.loss
        return loss(y_true, y_pred) if sample_weight is None else loss(y_true, y_pred, sample_weight)


def _as_columns(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds a last axis if both have rank 1: here that is a batch of scalars, but Keras takes it as one example."""
    if y_true.shape.rank == y_pred.shape.rank == 1:
        return y_true[:, tf.newaxis], y_pred[:, tf.newaxis]
    return y_true, y_pred


def as_loss(name: str, loss: Any) -> Callable[[Any, Any], tf.Tensor]:
    """`loss` as a function of `(y_true, y_pred)` that returns per-example values.

    Args:
        name: the argument's name, for messages.
        loss: a penalty or any other callable, which is returned as it is; a `keras.losses.Loss`; or the name of a Keras
            loss, such as "mse".

    Returns:
        A callable. For Keras's losses and names, it is an `AdaptedLoss` whose `loss` is the original.

    Raises:
        ValueError: for an unknown name.
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
        return AdaptedLoss(loss, loss.call if type(loss).__call__ in _CALLS_OF_VALUES else None)
    if takes(loss, 2):
        return loss
    raise TypeError(
        f"`{name}` must be a penalty, a Keras loss or its name, or a function of (y_true, y_pred). "
        f"{received(name, loss)}"
    )
