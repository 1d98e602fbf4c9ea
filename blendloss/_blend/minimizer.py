"""Minimizing a blend over variables of its own. The compiled program is shared by all blends of a kind."""

from __future__ import annotations

import functools
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._blend.blend import Blend
from blendloss._internal.serialization import PACKAGE

_NUDGE = 0.03  # relative, and absolute, to a parameter
#: How many programs are kept; the one that was used the longest ago goes first.
_MOST = 16
#: Programs, each with the blend whose variables it moves, by kind.
_programs: OrderedDict[Any, tuple[Blend, Any]] = OrderedDict()
_lock = threading.Lock()


def minimize(
    blend: Blend, variables: Sequence[Any], data: tuple[Any, ...], tolerance: float, max_iterations: int
) -> tuple[tf.Tensor, ...]:
    """Moves `variables` of the blend to its minimum at `data`; gives the value, whether it converged, the iterations.

    A program for the kind of the blend moves the variables of a blend that only it has: they take this blend's values
    before, and this blend takes theirs after. A blend that its configuration does not tell has a program of its own.
    """
    kind = _kind_of(blend, data)
    if kind is None:
        return _concrete(minimizer(blend, variables, tolerance, max_iterations), data)(*data)
    chosen = [any(own is one for one in variables) for own in blend.variables]
    with _lock:
        twin, program = _program((*kind, tuple(chosen), tolerance, max_iterations), blend, data)
        for theirs, own in zip(twin.variables, blend.variables, strict=True):
            theirs.assign(own.value)
        result: tuple[tf.Tensor, ...] = program(*data)
        for theirs, own, fitted in zip(twin.variables, blend.variables, chosen, strict=True):
            if fitted:
                own.assign(theirs.value)
    return result


def _program(kind: tuple[Any, ...], blend: Blend, data: tuple[Any, ...]) -> tuple[Blend, Any]:
    """The program of this kind, and the blend whose variables it moves."""
    if kind not in _programs:
        *_, chosen, tolerance, max_iterations = kind
        twin = Blend.from_config(blend.get_config())
        variables = [variable for variable, fitted in zip(twin.variables, chosen, strict=True) if fitted]
        _programs[kind] = twin, _concrete(minimizer(twin, variables, tolerance, max_iterations), data)
        if len(_programs) > _MOST:
            _programs.popitem(last=False)
    _programs.move_to_end(kind)
    return _programs[kind]


def _concrete(function: Any, data: tuple[Any, ...]) -> Any:
    # TensorFlow would warn of a function that is called once and traced for each new blend.
    return function.get_concrete_function(*data)


def _kind_of(blend: Blend, data: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What determines the program: configuration, variables and specs of the data; None if that may not be all."""
    leaves = tf.nest.flatten(data)
    plain = all(leaf is None or isinstance(leaf, np.ndarray) or tf.is_tensor(leaf) for leaf in leaves)
    local = all(isinstance(variable.value, tf.Variable) for variable in blend.variables)
    if not (plain and local) or not tf.executing_eagerly() or tf.distribute.has_strategy() or type(blend) is not Blend:
        return None
    try:
        config = blend.get_config()
    except ValueError:  # a function that cannot be saved
        return None
    if not all(_is_ours(part) for part in _objects(config)):
        return None
    specs = [None if leaf is None else (tuple(leaf.shape), tf.as_dtype(leaf.dtype).name) for leaf in leaves]
    held = [(tuple(one.shape), one.dtype, one.trainable) for one in blend.variables]
    structure = repr(tf.nest.map_structure(lambda leaf: leaf is None, data))
    return json.dumps(_without_names(config), sort_keys=True), structure, tuple(specs), tuple(held)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """The serialized objects of a configuration."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for part in config.values():
            yield from _objects(part)
    elif isinstance(config, (list, tuple)):
        for part in config:
            yield from _objects(part)


def _is_ours(part: dict[str, Any]) -> bool:
    """Whether its configuration determines what this object does: it is the library's, or one of a few of Keras's."""
    if part["class_name"] == "function":
        return str(part["config"]).startswith(f"{PACKAGE}>")
    ours = str(part.get("registered_name")).startswith(f"{PACKAGE}>")
    return ours or part.get("module") == "keras.losses" or part["class_name"] == "DTypePolicy"


def _without_names(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a blend but for the names of blend and gate, which count how many there were before."""
    gate = config["gate"]
    inner = {key: value for key, value in gate["config"].items() if key != "name"}
    return {**config, "name": None, "gate": {**gate, "config": inner}}


def minimizer(blend: Blend, variables: Sequence[Any], tolerance: float, max_iterations: int) -> Any:
    """A function `(y_true, y_pred, sample_weight, features)` that moves `variables` to the blend's minimum there."""
    variables = [variable.value for variable in variables]
    dtype = tf.float64 if all(variable.dtype == tf.float64 for variable in variables) else tf.float32
    sizes = [variable.shape.num_elements() for variable in variables]

    def assign(position: tf.Tensor) -> None:
        for variable, part in zip(variables, tf.split(position, sizes), strict=True):
            variable.assign(tf.cast(tf.reshape(part, variable.shape), variable.dtype))

    # Compiled, a step into the impossible gives NaN, from which the line search turns back, and not an error.
    @tf.function(jit_compile=True, autograph=False)
    def value_and_gradient(position: tf.Tensor, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        assign(position)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = blend(*data[:3], step=0, training=False, features=data[3])
        gradients = tape.gradient(value, variables, unconnected_gradients="zero")
        return tf.cast(value, dtype), tf.concat([tf.reshape(tf.cast(g, dtype), [-1]) for g in gradients], 0)

    @tf.function(autograph=False)
    def descend_twice(*data: Any) -> tuple[tf.Tensor, ...]:
        start = tf.concat([tf.reshape(tf.cast(variable, dtype), [-1]) for variable in variables], 0)
        of_data = functools.partial(value_and_gradient, data=data)
        descend = tf.function(lambda start: _descend(of_data, start, tolerance, max_iterations), autograph=False)
        first = descend(start)  # traced once for both
        # Where the gradient vanishes may be a saddle (a weight at 0 that should grow): a nudge leaves it for good, and
        # a minimum for the moment.
        nudge = _NUDGE * tf.random.stateless_normal(start.shape, [0, 0], dtype=dtype)
        second = descend(first.position * (1 + nudge) + nudge)
        values = [of_data(found.position)[0] for found in (first, second)]
        better = values[1] < values[0]
        position = tf.where(better, second.position, first.position)
        value, _ = of_data(position)
        converged = tf.where(better, second.converged, first.converged)
        return value, converged, first.num_iterations + second.num_iterations

    return descend_twice


def _descend(value_and_gradient: Callable[..., Any], start: tf.Tensor, tolerance: float, max_iterations: int) -> Any:
    """L-BFGS from `start`; what TensorFlow Probability's gives."""
    import tensorflow_probability as tfp

    # In units in which the first gradient is at most 1, so is the first step: later steps do not depend on units.
    unit = tf.maximum(tf.norm(value_and_gradient(start)[1]), 1)
    return tfp.optimizer.lbfgs_minimize(
        lambda position: [part / unit for part in value_and_gradient(position)],
        start,
        tolerance=tolerance / unit,
        f_relative_tolerance=8 * np.finfo(start.dtype.as_numpy_dtype).eps,
        max_iterations=max_iterations,
    )
