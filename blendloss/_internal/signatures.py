"""Whether a callable can be called with so many arguments, as far as its signature tells."""

from __future__ import annotations

import inspect
from typing import Any

import keras


def takes(function: Any, number: int) -> bool:
    """Whether `function` is no class, and needs `number` arguments by position, or takes any number.

    Arguments with a default are options, such as `training`, unless `function` takes but one. A Keras layer is judged
    by its `call`. What has no signature to tell counts as taking any.
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
