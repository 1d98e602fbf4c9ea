"""Which outputs and targets a loss reads: a key, or a structure of keys."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from blendloss._internal import checks, conversion


def keys(name: str, value: Any) -> Any:
    """Checks `value`: a key, an index, or a nested tuple, list or dict of these. Lists become tuples."""
    if isinstance(value, Mapping):
        made: Any = {key: keys(name, one) for key, one in value.items()}
    elif isinstance(value, (list, tuple)):
        made = tuple(keys(name, one) for one in value)
    elif isinstance(value, bool) or not isinstance(value, (str, int)):
        allowed = "a key, an index or a float" if name == "target" else "a key or an index of an output"
        raise TypeError(f"`{name}` must be {allowed}, or a tuple or dict of keys. Received: {name}={value!r}")
    else:
        return value if isinstance(value, str) else checks.integer(name, value)
    if not made:
        raise ValueError(f"`{name}` must not be empty. Received: {name}={value!r}")
    return made


def several(chosen: Any) -> bool:
    """Whether these are the keys of several outputs."""
    return isinstance(chosen, (tuple, Mapping))


def as_lists(chosen: Any) -> Any:
    """Keys with lists in place of tuples, as JSON stores them."""
    if isinstance(chosen, Mapping):
        return {key: as_lists(one) for key, one in chosen.items()}
    return [as_lists(one) for one in chosen] if isinstance(chosen, tuple) else chosen


def pick(name: str, structure: Any, chosen: Any) -> Any:
    """The parts of `structure` that `chosen` names, in the same form. Several parts are converted to tensors."""
    return _pick_each(name, structure, chosen) if several(chosen) else _select(name, structure, chosen)


def _pick_each(name: str, structure: Any, chosen: Any) -> Any:
    if isinstance(chosen, Mapping):
        return {key: _pick_each(name, structure, one) for key, one in chosen.items()}
    if isinstance(chosen, tuple):
        return tuple(_pick_each(name, structure, one) for one in chosen)
    return conversion.tensor(name, _select(name, structure, chosen))


def _select(name: str, structure: Any, key: str | int) -> Any:
    """`structure[key]`, or an error that lists the existing keys."""
    there = f"{name} of type {type(structure).__name__}"
    if isinstance(structure, Mapping):
        there = str(list(structure))
        if key in structure:
            return structure[key]
    elif isinstance(structure, (list, tuple)) and isinstance(key, numbers.Integral):
        there = str(list(range(len(structure))))
        if -len(structure) <= key < len(structure):
            return structure[key]
    nested = _find_path(structure, key)
    if nested is not None:
        return nested
    index = name == "y_true" and isinstance(key, numbers.Integral)
    hint = f" (an integer is an index; the number itself is the float {float(key)})" if index else ""
    raise KeyError(f"`{name}` must have {key!r}, which a loss reads{hint}. Received: {there}")


def find_weight(sample_weight: Any, key: Any) -> Any:
    """The sample weights for the output `key`, or for all outputs on a path such as "a/b"; None if there are none."""
    if isinstance(sample_weight, Mapping) and key in sample_weight:
        return sample_weight[key]
    for part in key.split("/") if isinstance(key, str) and "/" in key else [key]:
        if isinstance(sample_weight, Mapping):
            if part not in sample_weight:
                return None
            sample_weight = sample_weight[part]
        elif isinstance(sample_weight, (list, tuple)) and _is_index(part) and int(part) < len(sample_weight):
            sample_weight = sample_weight[int(part)]
        else:
            return sample_weight
    return sample_weight


def _is_index(part: Any) -> bool:
    return isinstance(part, int) or (isinstance(part, str) and part.isdecimal())


def _find_path(structure: Any, path: Any) -> Any:
    """The output at a path such as "a/b" or "a/0" in nested outputs; None if there is none."""
    if not isinstance(path, str) or "/" not in path:
        return None
    for part in path.split("/"):
        if isinstance(structure, Mapping) and part in structure:
            structure = structure[part]
        elif isinstance(structure, (list, tuple)) and part.isdecimal() and int(part) < len(structure):
            structure = structure[int(part)]
        else:
            return None
    return structure
