"""The variables that a loss holds: the blend trains and saves them, and rejects those that it cannot."""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from blendloss._blend.given_values import current_place, override_values
from blendloss._blend.weighted_sum import block_nonfinite_gradient
from blendloss._internal.checks import shown

_FORM = "_blendloss_keras_variable"  # the attribute of a `tf.Variable` that holds its form for Keras


def held_variables(name: str, loss: Any) -> list[Any]:
    """The variables among the attributes of `loss`, in lists and dicts too, as Keras variables; none of a function.

    A Keras layer tracks its own variables. Nothing tracks those of other objects, such as a `keras.losses.Loss`.

    Args:
        name: the loss's name, for messages.
        loss: the loss itself.

    Raises:
        ValueError: if a loss that is no layer holds a layer that trains. The layer may be the network itself, or one
            that must not change, so that training it here may be wrong.
    """
    found: dict[int, Any] = {}
    for part in [] if isinstance(loss, keras.Layer) else _parts(loss):
        if not isinstance(part, keras.Layer):
            variables = [each if isinstance(each, keras.Variable) else _as_keras(each) for each in _variables_of(part)]
            found |= {id(variable): variable for variable in variables}
        elif part.trainable and (part.trainable_variables or not part.built):
            raise ValueError(
                "A loss that holds a layer which trains must be a `keras.Layer` itself. If the layer is not to train, "
                f"set its `trainable = False`. Received: {name}={shown(loss)}, which holds the layer {part.name!r}"
            )
    return list(found.values())


def _as_keras(variable: tf.Variable) -> Any:
    """The same variable in the form that Keras tracks; one for each variable, as Keras knows it by its identity."""
    if not hasattr(variable, _FORM):
        name = variable.name.split(":")[0].replace("/", "_")
        setattr(variable, _FORM, keras.Variable(variable, trainable=variable.trainable, name=name))
    return getattr(variable, _FORM)


def captured_variables(loss: Any) -> list[Any]:
    """The trainable variables that a function reads from its closure, module, `functools.partial` or object."""
    parts = [part for part in _parts(_captured(loss)) if not isinstance(part, keras.Layer)]
    return [variable for part in parts for variable in _variables_of(part) if variable.trainable]


def _captured(function: Any) -> list[Any]:
    """The objects that a function reads from outside."""
    given: list[Any] = []
    while isinstance(function, functools.partial):
        given += [*function.args, *function.keywords.values()]
        function = function.func
    function = getattr(function, "python_function", function)  # of a `tf.function`
    if inspect.ismethod(function):
        given += _attributes(function.__self__) if not isinstance(function.__self__, keras.Layer) else ()
        function = function.__func__
    if not inspect.isfunction(function):
        return given
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # a cell that is empty yet
            given.append(cell.cell_contents)
    read = {each.argval for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"}
    return [*given, *(function.__globals__[name] for name in read & set(function.__globals__)), *_defaults(function)]


def _defaults(function: Any) -> list[Any]:
    return [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


@contextlib.contextmanager
def block_variable_gradients(loss: Any, held: list[Any], off: tf.Tensor | None) -> Iterator[None]:
    """Within, a loss that is off sends its variables neither NaN nor inf: it reads them by `block_nonfinite_gradient`.

    A variable belongs to all examples: with weights by example, the gradient is cut where all weights are 0. A
    `tf.function` that the loss calls reads the variable itself: there, nothing is cut.
    """
    trained = [] if off is None else _trained(loss, held)
    if not trained or _creates_variables(loss):
        yield
        return
    everywhere = tf.reduce_all(off)
    plain = [_on_this_replica(each) for each in trained if isinstance(each, tf.Variable)]
    with override_values([(each, block_nonfinite_gradient(tf.convert_to_tensor(each), everywhere)) for each in plain]):
        keras_variables = [each for each in trained if isinstance(each, keras.Variable)]
        values = [block_nonfinite_gradient(tf.convert_to_tensor(each.value), everywhere) for each in keras_variables]
        with _Reads(list(zip(keras_variables, values, strict=True)), collect_losses=True) as scope:
            yield
    for variable, value in scope.updates.values():
        variable.assign(value)
    if scope.losses and isinstance(loss, keras.Layer):
        loss.add_loss(scope.losses)


class _Reads(keras.StatelessScope):
    """A scope in which some Keras variables are read as given values; it keeps what the others are updated to.

    A `tf.function` that the loss calls reads and updates the variables themselves: it is traced once, and must not
    keep the values of that one call.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.updates: dict[int, tuple[Any, Any]] = {}
        self._place = current_place()

    def get_current_value(self, variable: Any) -> Any:
        """What is given for `variable`, or what it was updated to; None is itself."""
        return super().get_current_value(variable) if current_place() == self._place else None

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Keeps the update of a variable, such as the seed of a random layer."""
        if current_place() != self._place:
            update[0]._direct_assign(update[1])  # `assign` would come back here
            return
        super().add_update(update)
        self.updates[id(update[0])] = update


def _trained(loss: Any, held: list[Any]) -> list[Any]:
    """The variables that a loss trains: those of a layer, those that it holds, those that a function reads.

    What is a `tf.Variable` is so here: the loss reads it without Keras.
    """
    if isinstance(loss, keras.Layer):
        return list(loss.trainable_variables)
    plain = [one.value if hasattr(one.value, _FORM) else one for one in held]
    variables = {id(one): one for one in (*plain, *captured_variables(loss)) if one.trainable}
    return list(variables.values())


def _on_this_replica(variable: tf.Variable) -> tf.Variable:
    """The variable itself, or its part on the replica that reads it."""
    parts = tf.distribute.get_strategy().experimental_local_results(variable)
    context: Any = tf.distribute.get_replica_context()
    return parts[int(tf.get_static_value(context.replica_id_in_sync_group)) % len(parts)]


def _creates_variables(loss: Any) -> bool:
    """Whether layers in `loss` are still to be built, which must not happen in a scope without state."""
    return isinstance(loss, keras.Layer) and any(not layer.built for layer in loss._flatten_layers(include_self=False))


def _parts(loss: Any) -> Iterator[Any]:
    """Objects that may hold variables: `loss`, its attributes, and those in lists, dicts and losses among them."""
    stack, seen = [loss], set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, _HOLDERS):
            yield part
        elif isinstance(part, Mapping):
            stack.extend(reversed(list(part.values())))
        elif isinstance(part, (list, tuple)):
            stack.extend(reversed(part))
        elif part is loss or isinstance(part, keras.losses.Loss):
            stack.extend(reversed(list(_attributes(part))))


_HOLDERS = (keras.Variable, keras.Layer, keras.random.SeedGenerator, tf.Variable, tf.Module)


def _attributes(value: Any) -> Iterable[Any]:
    return () if inspect.isfunction(value) else getattr(value, "__dict__", {}).values()


def _variables_of(value: Any) -> list[Any]:
    """The variables that `value` is, or that it holds as a `tf.Module` or a `SeedGenerator`."""
    if isinstance(value, (keras.Variable, tf.Variable)):
        return [value]
    if isinstance(value, keras.random.SeedGenerator):
        return [value.state]
    return list(value.variables) if isinstance(value, tf.Module) and not isinstance(value, keras.Layer) else []
