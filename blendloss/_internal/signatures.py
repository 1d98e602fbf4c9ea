"""Checks of the number of arguments that a callable takes, by its signature."""

from __future__ import annotations

import inspect
from typing import Any

import keras


def takes(function: Any, number: int) -> bool:
    """Whether `function` is not a class, and needs `number` positional arguments or takes any number of them.

    Arguments with a default, such as `training`, do not count, unless `number` is 1. For a Keras layer, its `call`
    counts. A callable without a signature takes any number.
    """
    if not callable(function) or isinstance(function, type):
        return False
    if isinstance(function, keras.Layer) and type(function).__call__.__module__.startswith("keras."):
        if type(function).call is keras.Layer.call:
            return False  # such as a gate
        function = function.call
    try:
        parameters = inspect.signature(function).parameters.values()
        inspect.signature(function).bind(*range(number))
    except TypeError:
        return False
    except ValueError:
        return True
    needed = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    return number == 1 or len(needed) >= number or any(one.kind is one.VAR_POSITIONAL for one in needed)
