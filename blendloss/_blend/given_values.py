"""A `tf.Variable` whose value is replaced while one loss is evaluated.

Keras has a scope for this (`StatelessScope`), TensorFlow has none. So each such variable gets, once, a `value`
method of its own, which looks up the replacement in this thread.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_given = threading.local()


def current_place() -> int | None:
    """The graph that is being traced; None in eager mode."""
    return None if tf.executing_eagerly() else id(tf.compat.v1.get_default_graph())


@contextlib.contextmanager
def override_values(pairs: list[tuple[tf.Variable, tf.Tensor]]) -> Iterator[None]:
    """Within, in this thread and this graph, each variable of `pairs` is read as its tensor.

    So it is in operators, in `tf.convert_to_tensor` and in graphs. In eager mode, an operation that takes the variable
    itself as its input, such as `tf.matmul(x, variable)`, reads it without Python, and gets the variable.
    """
    before = getattr(_given, "values", {})
    place = current_place()
    for variable, _ in pairs:
        _install(variable)
    _given.values = before | {id(variable): (place, value) for variable, value in pairs}
    try:
        yield
    finally:
        _given.values = before


def _install(variable: tf.Variable) -> None:
    if "value" in vars(variable):
        return
    reference = weakref.ref(variable)

    def value() -> Any:
        variable: Any = reference()
        place, given = getattr(_given, "values", {}).get(id(variable), (None, None))
        return type(variable).value(variable) if given is None or place != current_place() else given

    variable.value = value
