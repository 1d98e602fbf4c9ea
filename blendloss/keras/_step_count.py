"""`BlendedModel.step` counts the updates of the model's optimizer, whoever applies them.

`count_updates` replaces the two methods by which the optimizer of a compiled model updates. So a `train_step` or a loop
of the user's own is counted, too. `check_train_step` and `require_advance` find what updates by other means.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import keras
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._internal.step import integer_step
from blendloss.gates import Needs
from blendloss.keras._common_finiteness import agree_on_finite

_METHODS = ("apply", "apply_gradients")
_CHECKED = "_requires_advance"  # marks a `train_step` that is checked


class Counted(Protocol):
    """A model whose step counts updates."""

    blend: Blend
    optimizer: keras.optimizers.Optimizer
    has_advanced: bool
    """Whether `advance` was ever called, in Python: a `tf.function` calls it only while it is traced."""

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """What there is to update."""

    def advance(self, updates: Any = 1) -> None:
        """Advances the step by a number of updates."""


def count_updates(model: Counted) -> None:
    """Makes each update by the optimizer of `model` advance its step, in `train_step` or in a loop of the user's."""
    optimizer = model.optimizer
    if optimizer is None:
        return
    counting = _CountingUpdates(optimizer, model)
    optimizer.apply, optimizer.apply_gradients = counting.apply, counting.apply_gradients


class _CountingUpdates:
    """The two methods by which an optimizer updates, which also advance the step of the model compiled with it.

    Keras's `apply_gradients` calls `apply`: the outer one counts, on each replica's thread.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, model: Counted) -> None:
        self._optimizer = optimizer
        self._model = weakref.ref(model)  # an optimizer may outlive the model
        self._uncounted = {name: _uncounted(optimizer, name) for name in _METHODS}
        self._thread = threading.local()

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """As the optimizer's own; replicas agree on whether a scaled loss overflows."""
        grads = agree_on_finite(self._optimizer, grads)
        return self._update("apply", len(grads), grads, trainable_variables)

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        """As the optimizer's own."""
        pairs = list(grads_and_vars)
        return self._update("apply_gradients", len(pairs), pairs)

    def _update(self, name: str, number: int, *arguments: Any) -> Any:
        update, optimizer, model = self._uncounted[name], self._optimizer, self._model()
        within = getattr(self._thread, "within", False)
        if within or model is None or model.optimizer is not optimizer:  # or compiled with another one since
            return update(*arguments)
        # A count before the update that is read after it costs XLA copies, and order.
        one_each = number > 0 and _updates_each_call(optimizer)
        before = None if one_each else _updates(optimizer)
        self._thread.within = True
        try:
            result = update(*arguments)
        finally:
            self._thread.within = False
        model.advance(1 if before is None else _updates(optimizer) - before)
        return result


def _uncounted(optimizer: keras.optimizers.Optimizer, name: str) -> Callable[..., Any]:
    """A method of the optimizer, without the counting by an earlier `compile`."""
    method = getattr(optimizer, name)
    owner = getattr(method, "__self__", None)
    return owner._uncounted[name] if isinstance(owner, _CountingUpdates) else method


def _updates_each_call(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether each call of the optimizer is one update: nothing is skipped, nothing only accumulated."""
    kind = type(optimizer)
    as_keras = all(
        getattr(kind, name) is getattr(keras.optimizers.Optimizer, name) for name in (*_METHODS, "iterations")
    )
    return as_keras and not optimizer.gradient_accumulation_steps


def _updates(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """How often the optimizer has updated the weights; one that scales the loss wraps the one that counts."""
    return integer_step(getattr(optimizer, "inner_optimizer", optimizer).iterations)


def checked_train_step(train_step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`train_step`, which raises if it is traced without an update that would advance the step."""

    @functools.wraps(train_step)
    def checked(model: Counted, data: Any) -> Any:
        logs = train_step(model, data)
        if not tf.executing_eagerly():  # eagerly, a step may do without an update: gradients accumulated by hand
            require_advance(model)
        return logs

    setattr(checked, _CHECKED, True)
    return checked


def check_train_step(kind: Any) -> None:
    """Checks the `train_step` of a class of models, unless it has it from a class that is checked.

    It may define one, or have that of a mixin.
    """
    if not hasattr(kind.train_step, _CHECKED):
        kind.train_step = checked_train_step(kind.train_step)


def require_advance(model: Counted) -> None:
    """Raises if nothing has ever advanced the step, and something in the blend follows it."""
    if not model.has_advanced and model.trainable_weights and follows_step(model.blend):
        raise ValueError(
            "The blend follows `model.step`, which counts the updates of `model.optimizer`: let `train_step` apply the "
            "gradients by `self.optimizer`, or call `self.advance()` after each update by another one. Received: "
            f"{type(model).__name__}.train_step, which does neither"
        )


def follows_step(blend: Blend) -> bool:
    """Whether a step that stands still would freeze something in `blend`."""
    return Needs.STEP in blend.gate.needs or blend.mode.needs_step or blend.gate.stateful
