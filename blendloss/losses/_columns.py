"""A loss of some columns of an output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.serialization import Configured, deserialize, register, serialize
from blendloss.losses._adapter import as_loss
from blendloss.losses._output_loss import OutputLoss


@register
class Columns(Configured):
    """A loss of some columns of an output: l(y_true[..., targets], y_pred[..., columns]).

    Columns are elements of the last axis. For example, a network predicts three quantiles in one layer, and each column
    has its own loss with the same target. Sample weights and masks are those of the whole output.

    Args:
        loss: any loss that a blend takes: a penalty, a Keras loss or its name, a function `(y_true, y_pred)`.
        columns: which columns of the output the loss reads: an index, or a list of indexes. Negative indexes count from
            the end.
        targets: which columns of the target belong to them, in the same form. With None, they are the same columns if
            the target has as many columns as the output. Otherwise they are the whole target, which must have as many
            columns as the loss reads.

    Returns:
        A loss for a `Blend` or an `OutputLoss`. `loss(y_true, y_pred)`, both `[batch, ..., D]`, returns values `[batch,
        ...]`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if a list is empty. When called, if there is no such column, if the number of columns is unknown, or
            if the target has neither as many columns as the output nor as many as the loss reads.

    Example:
        >>> import blendloss as bl
        >>> low, high = (bl.losses.Columns(bl.losses.Quantile(q), column) for q, column in ((0.1, 0), (0.9, -1)))
        >>> blend = bl.Blend({"q10": low, "q90": high}, bl.gates.Fixed([1.0, 1.0]))
        >>> y_true, y_pred = [[2.0]], [[0.0, 2.0, 3.0]]
        >>> [round(float(loss), 3) for loss in blend.compute(y_true, y_pred).losses]  # 0.1 * 2 and (1 - 0.9) * 1
        [0.2, 0.1]
    """

    def __init__(self, loss: Any, columns: int | Sequence[int], targets: int | Sequence[int] | None = None) -> None:
        if isinstance(loss, OutputLoss):
            raise TypeError(
                f"`loss` must not be an `OutputLoss`: wrap the columns in it instead. Received: loss={loss!r}"
            )
        self.loss = loss
        self.columns = _indices("columns", columns)
        self.targets = None if targets is None else _indices("targets", targets)
        self.evaluate = as_loss("loss", loss)

    def select(self, y_true: Any, y_pred: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The columns of target and output that this loss reads, `[batch, ..., number of columns]`."""
        y_true, y_pred = conversion.tensor("y_true", y_true), conversion.tensor("y_pred", y_pred)
        rank = y_pred.shape.rank
        if rank is not None and y_true.shape.rank == rank - 1:
            y_true = y_true[..., tf.newaxis]
        selected = _take_columns("y_pred", y_pred, self.columns)
        if self.targets is not None:
            return _take_columns("y_true", y_true, self.targets), selected
        if y_true.shape.rank == rank and y_true.shape[-1] == y_pred.shape[-1]:
            return _take_columns("y_true", y_true, self.columns), selected
        if y_true.shape.rank != rank or y_true.shape[-1] != selected.shape[-1]:
            raise ValueError(
                f"`y_true` must have as many columns as `y_pred` or as the loss reads, {selected.shape[-1]}; otherwise "
                "`targets` must say which columns belong to this loss. "
                f"Received: y_true of shape {y_true.shape}, y_pred of {y_pred.shape}"
            )
        return y_true, selected

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Unreduced values, `[batch, ...]`."""
        return self.evaluate(*self.select(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {"loss": serialize(self.loss), "columns": self.columns, "targets": self.targets}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Columns:
        return cls(**{**config, "loss": deserialize(config["loss"])})


def innermost(loss: Any) -> Any:
    """The loss inside of all wrappers that say which outputs and columns it reads."""
    while isinstance(loss, (OutputLoss, Columns)):
        loss = loss.loss
    return loss


def _indices(name: str, value: Any) -> int | list[int]:
    """Checks an index, or a list of indexes."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        return checks.integer(name, value)
    if len(value) == 0:
        raise ValueError(f"`{name}` must not be empty. Received: {name}={value!r}")
    return [checks.integer(f"{name}[{place}]", index) for place, index in enumerate(value)]


def _take_columns(name: str, tensor: tf.Tensor, columns: int | list[int]) -> tf.Tensor:
    """`tensor[..., columns]`, with a last axis even for one column."""
    if tensor.shape.rank is None or tensor.shape.rank < 2 or tensor.shape[-1] is None:
        raise ValueError(
            f"`{name}` must have a last axis of known length, [batch, ..., columns], because a loss reads its "
            f"columns {columns}. Received: shape {tensor.shape}"
        )
    width = tensor.shape[-1]
    wanted = columns if isinstance(columns, list) else [columns]
    if not all(-width <= column < width for column in wanted):
        raise ValueError(f"`{name}` must have the columns {columns}. Received: shape {tensor.shape}")
    wanted = [column % width for column in wanted]
    first, last = wanted[0], wanted[-1]
    if wanted == list(range(first, last + 1)):
        return tensor[..., first : last + 1]
    return tf.gather(tensor, wanted, axis=-1)
