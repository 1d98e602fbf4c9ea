"""The base of the gates that learn from what an update did to the losses."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.assertions import require
from blendloss._internal.reductions import for_mean_over_replicas
from blendloss._internal.replicas import mean_over_replicas
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import precise, shared_values


class ProgressGate(Gate, abc.ABC):
    """A gate that compares the losses before and after an update.

    A subclass implements `learn`, `chosen` and, if it has state of its own, `create_state`. With `same_batch` the
    losses after the update are those of the same batch, given to `observe_progress`; a training step without that
    since the last one raises. Without it they are those of the next training step's batch.

    Args:
        same_batch: whether progress is measured on the batch of the update.
        name: the layer's name.
        dtype: of the logits and the state.
    """

    needs = Needs.VALUES
    stateful = True

    def __init__(self, same_batch: Any, *, name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.same_batch = checks.boolean("same_batch", same_batch)
        if self.same_batch:
            self.needs |= Needs.PROGRESS
        # Set once the losses are known.
        self.waiting: Any = None
        self.skipped: Any = None

    def create_state(self, k: int) -> None:
        self.waiting = self.add_state("waiting", dtype="int64")
        self.skipped = self.add_state("skipped", dtype="int64")

    @abc.abstractmethod
    def learn(self, values: tf.Tensor, waiting: tf.Tensor) -> tf.Tensor:
        """Updates the state, where `waiting`, from the losses after the update; whether they allowed it."""

    @abc.abstractmethod
    def chosen(self, values: tf.Tensor, context: Context) -> Gating:
        """The gating at the losses `values`, which it keeps if this is a training step."""

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        values = shared_values(self, context)
        if not context.training:
            return self.chosen(values, context)
        waiting = tf.convert_to_tensor(self.waiting)
        nothing = tf.zeros([], values.dtype)
        if self.same_batch:
            rule = f"After each training step, `observe_progress` of the gate {self.name!r} must be given its losses."
            nothing = tf.cast(require(waiting == 0, rule, tf.cast(waiting, values.dtype)), values.dtype) * 0
        else:
            self._learn(values, waiting > 0)
        gating = self.chosen(values, context)
        self.waiting.assign(tf.ones_like(waiting))
        return gating._replace(logits=gating.logits + tf.cast(nothing, gating.logits.dtype))

    def observe_progress(self, values: Any) -> None:
        if not self.same_batch:
            super().observe_progress(values)
        self._require_blend()
        if isinstance(values, Mapping):
            if set(values) != set(self.names):
                raise ValueError(f"`values` must have exactly the names {list(self.names)}. Received: {list(values)}")
            values = tf.stack([conversion.real("values", values[name]) for name in self.names])
        given = precise(self, tf.stop_gradient(conversion.real("values", values)))
        if not given.shape.is_compatible_with([len(self.names)]):
            raise ValueError(f"`values` must be one for each of {list(self.names)}. Received: shape {given.shape}")
        given = mean_over_replicas(for_mean_over_replicas(given, self._reduction))
        waiting = tf.convert_to_tensor(self.waiting)
        rule = f"`observe_progress` of the gate {self.name!r} must follow a training step."
        given = require(waiting > 0, rule, given)
        self._learn(given, waiting > 0)
        self.waiting.assign(tf.zeros_like(waiting))

    def _learn(self, values: tf.Tensor, waiting: tf.Tensor) -> None:
        valid = self.learn(values, waiting)
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(waiting & ~valid, tf.int64))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "same_batch": self.same_batch}
