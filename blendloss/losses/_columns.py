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

    Columns are elements of the last axis. A network that predicts three quantiles in one layer, say, has a loss for
    each column, all of the same target. Sample weights and masks are those of the whole output.

    Args:
        loss: any loss that a blend takes: a penalty, a Keras loss or its name, a function `(y_true, y_pred)`.
        columns: which columns of the output the loss reads: an index, or a list of them; negative ones count from the
            last.
        targets: which columns of the target belong to them, in the same form. None is the same columns where the target
            has as many columns as the output, and else the whole target, which must have as many columns as are read.

    Returns:
        The loss, to be named in a `Blend` or given to an `OutputLoss`. Calling it gives values by example.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if a list is empty. When called, if there is no such column, the number of columns is not known, or
            the target has neither as many columns as the output nor as many as are read.

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
            raise TypeError(f"`loss` must not be a head: give the columns to it. Received: loss={loss!r}")
        self.loss = loss
        self.columns = _indices("columns", columns)
        self.targets = None if targets is None else _indices("targets", targets)
        self.evaluate = as_loss("loss", loss)

    def read(self, y_true: Any, y_pred: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The columns of target and output that this loss reads, `[batch, ..., number of columns]`."""
        y_true, y_pred = conversion.tensor("y_true", y_true), conversion.tensor("y_pred", y_pred)
        rank = y_pred.shape.rank
        if rank is not None and y_true.shape.rank == rank - 1:
            y_true = y_true[..., tf.newaxis]
        read = _taken("y_pred", y_pred, self.columns)
        if self.targets is not None:
            return _taken("y_true", y_true, self.targets), read
        if y_true.shape.rank == rank and y_true.shape[-1] == y_pred.shape[-1]:
            return _taken("y_true", y_true, self.columns), read
        if y_true.shape.rank != rank or y_true.shape[-1] != read.shape[-1]:
            raise ValueError(
                f"`y_true` must have as many columns as `y_pred` or as are read, {read.shape[-1]}; or let `targets` "
                f"say which belong to this loss. Received: y_true of shape {y_true.shape}, y_pred of {y_pred.shape}"
            )
        return y_true, read

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Unreduced values, `[batch, ...]`."""
        return self.evaluate(*self.read(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {"loss": serialize(self.loss), "columns": self.columns, "targets": self.targets}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Columns:
        return cls(**{**config, "loss": deserialize(config["loss"])})


def innermost(loss: Any) -> Any:
    """The loss itself, without what says which outputs and columns it reads."""
    while isinstance(loss, (OutputLoss, Columns)):
        loss = loss.loss
    return loss


def _indices(name: str, value: Any) -> int | list[int]:
    """An index, or a list of them."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        return checks.integer(name, value)
    if len(value) == 0:
        raise ValueError(f"`{name}` must not be empty. Received: {name}={value!r}")
    return [checks.integer(f"{name}[{place}]", index) for place, index in enumerate(value)]


def _taken(name: str, tensor: tf.Tensor, columns: int | list[int]) -> tf.Tensor:
    """`tensor[..., columns]`, with a last axis even for one column."""
    if tensor.shape.rank is None or tensor.shape.rank < 2 or tensor.shape[-1] is None:
        raise ValueError(
            f"`{name}` must have a last axis of known length, [batch, ..., columns], of which a loss reads the columns "
            f"{columns}. Received: shape {tensor.shape}"
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
