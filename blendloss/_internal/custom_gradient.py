"""Custom gradients that are freed with the graph in which they were traced.

TensorFlow keeps a registry of gradients by name. Each call of `tf.custom_gradient` in a graph adds an entry that is
never removed. The entry holds the graph, so every traced model stays in memory. Here the graph holds the gradient, and
the entry refers to it weakly and is removed with the graph.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

# This registry is not public, but TensorFlow has no public way to remove an entry. If it is missing, entries stay.
_REGISTRY: dict[str, dict[str, Any]] = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
_PREFIX = "CustomGradient-"  # names of `tf.custom_gradient` begin with it
_HELD = "_blendloss_gradients"  # the graph's attribute that holds its gradients


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `tf.custom_gradient`, but the gradient of a call in a graph is freed with the graph."""
    differentiable = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if tf.executing_eagerly():  # nothing is registered
            return differentiable(*arguments)
        with gradients_freed_with_graph():
            return differentiable(*arguments)

    return call


@contextlib.contextmanager
def gradients_freed_with_graph() -> Iterator[None]:
    """Frees the custom gradients that are registered inside with the graph that is being traced."""
    before = set(_REGISTRY)
    try:
        yield
    finally:
        if not tf.executing_eagerly():
            _give(tf.compat.v1.get_default_graph(), set(_REGISTRY) - before)


def _give(graph: Any, names: set[str]) -> None:
    """Makes `graph` hold the gradients `names`."""
    gradients = getattr(graph, _HELD, {})
    setattr(graph, _HELD, gradients)
    for name in names:
        if name.startswith(_PREFIX):
            gradients[name] = _held_weakly(name)


def _held_weakly(name: str) -> Any:
    """Returns the gradient `name`, and makes the registry's reference to it weak.

    A nested call, or another thread, may have done so before. Then each graph holds the gradient.
    """
    entry = _REGISTRY.get(name)
    if entry is None:  # another thread registered it, and its graph is gone
        return None
    reference = getattr(entry["type"], "reference", None)
    if reference is not None:
        return reference()
    gradient = entry["type"]
    reference = weakref.ref(gradient, lambda _: _REGISTRY.pop(name, None))

    def of_graph(op: Any, *upstream: Any) -> Any:
        gradient = reference()
        if gradient is None:
            raise LookupError(f"The graph of the custom gradient {name!r} no longer exists.")
        return gradient(op, *upstream)

    of_graph.reference = reference  # type: ignore[attr-defined]
    entry["type"] = of_graph
    return gradient
