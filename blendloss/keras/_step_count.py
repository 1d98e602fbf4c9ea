"""`BlendedModel.step` counts the updates of the model's optimizer, whoever applies them."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal.step import integer_step
from blendloss.gates import Needs


def count_updates(model: Any) -> None:
    """Makes each update by the optimizer of `model` advance its step, in `train_step` or in a loop of the user's."""
    optimizer = model.optimizer
    if optimizer is None:
        return
    counted = _Counted(optimizer, model)
    optimizer.apply, optimizer.apply_gradients = counted.apply, counted.apply_gradients


class _Counted:
    """The two methods by which an optimizer updates, which also advance the step of the model compiled with it.

    Keras's second calls the first: the outer one counts, on each replica's thread.
    """

    def __init__(self, optimizer: Any, model: Any) -> None:
        self._optimizer = optimizer
        self._model = weakref.ref(model)
        self._own = {name: _uncounted(optimizer, name) for name in ("apply", "apply_gradients")}
        self._thread = threading.local()

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        """As the optimizer's own."""
        return self._update("apply", len(grads), grads, trainable_variables)

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        """As the optimizer's own."""
        pairs = list(grads_and_vars)
        return self._update("apply_gradients", len(pairs), pairs)

    def _update(self, name: str, number: int, *arguments: Any) -> Any:
        model, optimizer = self._model(), self._optimizer
        # That of an earlier `compile` counts no more.
        if getattr(self._thread, "within", False) or model is None or model.optimizer is not optimizer:
            return self._own[name](*arguments)
        # A count before the update that is read after it costs XLA copies, and order.
        one_each = number > 0 and _updates_each_call(optimizer)
        before = None if one_each else _updates(optimizer)
        self._thread.within = True
        try:
            result = self._own[name](*arguments)
        finally:
            self._thread.within = False
        model.advance(1 if before is None else _updates(optimizer) - before)
        return result


def _uncounted(optimizer: Any, name: str) -> Any:
    """A method of the optimizer, but for the counting by an earlier `compile`."""
    method = getattr(optimizer, name)
    counted = getattr(method, "__self__", None)
    return counted._own[name] if isinstance(counted, _Counted) else method


def _updates_each_call(optimizer: Any) -> bool:
    """Whether each call of the optimizer is one update: nothing is skipped, nothing only accumulated."""
    kind = type(optimizer)
    usual = all(
        getattr(kind, name) is getattr(keras.optimizers.Optimizer, name)
        for name in ("apply", "apply_gradients", "iterations")
    )
    return usual and not optimizer.gradient_accumulation_steps


def _updates(optimizer: Any) -> tf.Tensor:
    """How often the optimizer has updated the weights; one that scales the loss wraps the one that counts."""
    return integer_step(getattr(optimizer, "inner_optimizer", optimizer).iterations)


def checked_train_step(train_step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`train_step`, which raises if it is traced without an update that would advance the step."""

    @functools.wraps(train_step)
    def checked(model: Any, data: Any) -> Any:
        logs = train_step(model, data)
        if not tf.executing_eagerly():  # eagerly, a step may do without an update: gradients accumulated by hand
            require_advance(model)
        return logs

    checked.checked = True  # type: ignore[attr-defined]
    return checked


def require_advance(model: Any) -> None:
    """Raises if nothing has ever advanced the step, and something in the blend follows it.

    `model._advances` counts in Python: a `tf.function` in a step, once traced, advances the step without it.
    """
    if not model._advances and model.trainable_weights and follows_step(model.blend):
        raise ValueError(
            "The blend follows `model.step`, which counts the updates of `model.optimizer`: let `train_step` apply the "
            "gradients by `self.optimizer`, or call `self.advance()` after each update by another one. Received: "
            f"{type(model).__name__}.train_step, which does neither"
        )


def follows_step(blend: Any) -> bool:
    """Whether a step that stands still would freeze something in `blend`."""
    return Needs.STEP in blend.gate.needs or blend.mode.needs_step or blend.gate.stateful
