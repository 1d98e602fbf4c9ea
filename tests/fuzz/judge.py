"""What became of a hostile input."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import tensorflow as tf

from tests.fuzz.hostile import NOT_FINITE

#: Outcomes that are right, and those that are not.
GOOD = ("computed", "our ValueError", "our TypeError", "our KeyError", "our run-time check", "Keras's")
BAD = ("obscure class", "TensorFlow's words", "NaN from finite", "silence")
# A message of ours names an argument, or the object that has the rule, and says what was received.
_OURS = re.compile(r"(`\w[^`]*`|[Tt]he gate |[Tt]he loss|[Ll]osses|[Aa] loss).*Received", re.DOTALL)
_CLASSES = {ValueError: "our ValueError", TypeError: "our TypeError", KeyError: "our KeyError"}


def of_error(error: Exception) -> str:
    """The outcome where an error was raised."""
    message = str(error)
    if isinstance(error, (TypeError, ValueError)) and re.search(r"of layer '|Layer \w+ does not have", message):
        return "Keras's"
    if isinstance(error, tf.errors.InvalidArgumentError):
        return "our run-time check" if "must" in message and "Received" in message else "obscure class"
    if type(error) not in _CLASSES:
        return "obscure class"
    return _CLASSES[type(error)] if _OURS.search(message) else "TensorFlow's words"


def of_result(hostile: str, must_refuse: bool, result: Any) -> str:
    """The outcome where nothing was raised."""
    if must_refuse:
        return "silence"
    found = [one for one in tf.nest.flatten(result) if isinstance(one, (tf.Tensor, float))]
    arrays = [tf.convert_to_tensor(one).numpy() for one in found]
    broken = any(np.isnan(array.astype("float64")).any() for array in arrays)
    return "NaN from finite" if broken and hostile not in NOT_FINITE else "computed"
