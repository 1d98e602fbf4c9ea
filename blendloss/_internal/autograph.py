"""Methods that a `tf.function` traces without AutoGraph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

_F = TypeVar("_F", bound=Callable[..., Any])


def traced_as_written(function: _F) -> _F:
    """`function`, which AutoGraph does not rewrite; nor what it calls.

    The library has no Python branch on a tensor, so that there is nothing to rewrite. Rewriting it made the first trace
    of a blend take 8 to 12 s instead of 0.3 s. What a user's loss does with tensors in Python's `if` and `while` is
    then not rewritten either, as in Keras: `tf.cond`, `tf.where`, or a `tf.function` around the loss do it.
    """
    marked: _F = tf.autograph.experimental.do_not_convert(function)
    return marked
