"""The variables that a loss holds: the blend trains and saves them, and refuses what it cannot."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from blendloss._checks import shown
from blendloss._combine import switched


def held_variables(name: str, loss: Any) -> list[Any]:
    """The variables among the attributes of `loss`, in lists and dicts too, as Keras variables; none of a function.

    A Keras layer tracks its own. Nothing tracks those of any other object, such as a `keras.losses.Loss`.

    Args:
        name: the loss's name, for messages.
        loss: the loss itself.

    Raises:
        ValueError: if a loss that is no layer holds a layer that trains. The layer may be the network itself, or one
            that is meant to stay as it is, so that training it here may be wrong.
    """
    found: list[Any] = []
    for part in [] if isinstance(loss, keras.Layer) else _parts(loss):
        if not isinstance(part, keras.Layer):
            found.extend(part if isinstance(part, keras.Variable) else _as_keras(part) for part in _variables_of(part))
        elif part.trainable and (part.trainable_variables or not part.built):
            raise ValueError(
                "A loss that holds a layer which trains must be a `keras.Layer` itself. If the layer is not to train, "
                f"set its `trainable = False`. Received: {name}={shown(loss)}, which holds the layer {part.name!r}"
            )
    return found


def _as_keras(variable: tf.Variable) -> Any:
    """The same variable, in the form that Keras tracks."""
    return keras.Variable(variable, trainable=variable.trainable, name=variable.name.split(":")[0].replace("/", "_"))


def captured_variables(loss: Any) -> list[Any]:
    """The variables that train and that a function reads from its closure, its module or its `functools.partial`."""
    return [variable for variable in _captured(loss) if variable.trainable]


def _captured(function: Any) -> Iterator[Any]:
    given: list[Any] = []
    while isinstance(function, functools.partial):
        given += [*function.args, *function.keywords.values()]
        function = function.func
    if inspect.isfunction(function):
        outside = inspect.getclosurevars(function)
        given += [*outside.nonlocals.values(), *outside.globals.values(), *(function.__defaults__ or ())]
    for value in given:
        yield from _variables_of(value)


@contextlib.contextmanager
def variables_switched(loss: Any, held: list[Any], off: tf.Tensor | None) -> Iterator[None]:
    """Within, `loss` reads its variables through `switched`, so that a loss that is off sends them neither NaN nor inf.

    A variable belongs to all examples: with weights by example, the gradient is cut where all weights are 0.
    """
    trained = [] if off is None else _trained(loss, held)
    if not trained or _creates_variables(loss):
        yield
        return
    everywhere = tf.reduce_all(off)
    values = [switched(tf.convert_to_tensor(variable.value), everywhere) for variable in trained]
    with keras.StatelessScope(list(zip(trained, values, strict=True))) as scope:
        yield
    for variable in getattr(loss, "non_trainable_variables", ()):  # such as a seed: the scope has kept its updates
        value = scope.get_current_value(variable)
        if value is not None:
            variable.assign(value)


def _trained(loss: Any, held: list[Any]) -> list[Any]:
    """The Keras variables that a loss trains: those of a layer, those that it holds, those that a function reads."""
    if isinstance(loss, keras.Layer):
        return list(loss.trainable_variables)
    variables = [*held, *captured_variables(loss)]
    return [variable for variable in variables if isinstance(variable, keras.Variable) and variable.trainable]


def _creates_variables(loss: Any) -> bool:
    """Whether layers in `loss` are still to be built, which must not happen in a scope without state."""
    return isinstance(loss, keras.Layer) and any(not layer.built for layer in loss._flatten_layers(include_self=False))


def _parts(loss: Any) -> Iterator[Any]:
    """What may hold variables: `loss`, its attributes, what is in lists and dicts there, and in losses there."""
    stack, seen = [loss], set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (keras.Variable, keras.Layer, tf.Variable, tf.Module)):
            yield part
        elif isinstance(part, Mapping):
            stack.extend(reversed(list(part.values())))
        elif isinstance(part, (list, tuple)):
            stack.extend(reversed(part))
        elif part is loss or isinstance(part, keras.losses.Loss):
            stack.extend(reversed(list(_attributes(part))))


def _attributes(value: Any) -> Iterable[Any]:
    return () if inspect.isfunction(value) else getattr(value, "__dict__", {}).values()


def _variables_of(value: Any) -> list[Any]:
    """The variables that `value` is, or that it holds as a `tf.Module`."""
    if isinstance(value, (keras.Variable, tf.Variable)):
        return [value]
    return list(value.variables) if isinstance(value, tf.Module) and not isinstance(value, keras.Layer) else []
