"""The losses of a blend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from blendloss._blend.batch import NO_BATCH, to_compute_dtype
from blendloss._blend.batch_losses import BatchLosses
from blendloss._blend.batches import added_names, build_batches, insert_added, shared_batch
from blendloss._blend.given_losses import GivenLosses
from blendloss._blend.loss_evaluator import LossEvaluator
from blendloss._internal import checks
from blendloss.losses import AddedLoss, Columns, OutputLoss


class LossSet:
    """K named losses, and what they become for a batch.

    Args:
        losses: by name, or names alone.
        elementwise: whether penalties are weighted residual by residual.
        reduction: the blend's.
    """

    def __init__(self, losses: Any, elementwise: bool, reduction: str | None) -> None:
        #: The losses by name, as they were given; None for those that are names alone.
        self.functions: dict[str, Any] = validate_losses(losses)
        self.names = tuple(self.functions)
        self.added = added_names(self.functions)
        self.reads_outputs = any(isinstance(loss, OutputLoss) for loss in self.functions.values())
        parts = any(isinstance(loss, Columns) for loss in self.functions.values())
        #: Whether each loss has a batch of its own, and so a residual of its own.
        self.separate = bool(self.reads_outputs or parts or self.added)
        self.evaluators = [
            LossEvaluator(name, loss, elementwise, reduction)
            for name, loss in self.functions.items()
            if loss is not None
        ]
        self._elementwise, self._reduction = elementwise, reduction

    @property
    def trains(self) -> bool:
        """Whether a loss has variables that train."""
        return any(evaluator.trains for evaluator in self.evaluators)

    def require_functions(self) -> None:
        """Raises if the losses are names alone."""
        if not self.evaluators:
            raise ValueError(
                f"The losses {list(self.names)} have names alone: give their values to `combine`. "
                "Received: targets and predictions"
            )

    def bind(self, y_true: Any, y_pred: Any, sample_weight: Any, added: Mapping[str, Any] | None) -> BatchLosses:
        """The losses, bound to the batch of a call; no value is computed yet."""
        functions = {name: loss for name, loss in self.functions.items() if name not in self.added}
        batches = build_batches(functions, y_true, y_pred, sample_weight) if functions else ()
        shared = shared_batch(batches, functions, sample_weight, y_pred) if functions else NO_BATCH
        batches = insert_added(self.functions, batches, added)
        return BatchLosses(
            self.evaluators, batches, shared, self.added, self.separate, self._elementwise, self._reduction
        )

    def given(self, values: Mapping[str, Any]) -> GivenLosses:
        """The losses whose `values` were computed elsewhere."""
        found = [to_compute_dtype(value) for value in self.in_order("values", values)]
        return self.given_in_order(found)

    def given_in_order(self, values: list[tf.Tensor]) -> GivenLosses:
        """As `given`, for values in the order of the losses, in float32 or float64."""
        return GivenLosses(values, self._elementwise, self._reduction, self.separate)

    def in_order(self, argument: str, values: Any) -> list[Any]:
        """`values` by name, in the order of the losses."""
        if not isinstance(values, Mapping):
            raise TypeError(
                f"`{argument}` must be a dict with a value for each of {list(self.names)}. "
                f"{checks.received(argument, values)}"
            )
        if set(values) != set(self.names):
            raise ValueError(f"`{argument}` must have exactly the names {list(self.names)}. Received: {list(values)}")
        return [values[name] for name in self.names]


def validate_losses(losses: Any) -> dict[str, Any]:
    """The losses by name; None for those that are names alone. Raises for anything else."""
    if isinstance(losses, Mapping):
        given = dict(losses)
        if any(loss is None for loss in given.values()):
            raise TypeError(f"`losses` must not contain None: a list of names has no losses. Received: {losses!r}")
    elif isinstance(losses, Sequence) and not isinstance(losses, (str, bytes)):
        if not all(isinstance(name, str) for name in losses):
            raise TypeError(f"`losses` must have strings as names. Received: {losses!r}")
        given = dict.fromkeys(losses)
        if len(given) != len(losses):
            raise ValueError(f"`losses` must have different names. Received: {list(losses)}")
    else:
        raise TypeError(f"`losses` must be a dict of losses or a list of names. Received: losses={losses!r}")
    if not given:
        raise ValueError(f"`losses` must not be empty. Received: losses={losses!r}")
    of_outputs = {isinstance(loss, OutputLoss) for loss in given.values() if not isinstance(loss, AddedLoss)}
    if len(of_outputs) > 1:
        raise ValueError(f"`losses` must all be of type `OutputLoss`, or none of them. Received: losses={losses!r}")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"`losses` must have strings as names. Received: {name!r}")
        if not name:
            raise ValueError("`losses` must not have an empty name. Received: ''")
    return given
