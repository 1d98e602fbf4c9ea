"""Which outputs and targets a loss reads: a key, or a structure of keys."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from blendloss._internal import checks, conversion


def keys(name: str, value: Any) -> Any:
    """`value`, a key or an index, or a tuple, list or dict of these, nested; lists as tuples."""
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
    """Keys in the form that JSON gives back."""
    if isinstance(chosen, Mapping):
        return {key: as_lists(one) for key, one in chosen.items()}
    return [as_lists(one) for one in chosen] if isinstance(chosen, tuple) else chosen


def picked(name: str, structure: Any, chosen: Any) -> Any:
    """What `chosen` names in `structure`, in the form of `chosen`; of several, tensors."""
    return _picked(name, structure, chosen) if several(chosen) else selected(name, structure, chosen)


def _picked(name: str, structure: Any, chosen: Any) -> Any:
    if isinstance(chosen, Mapping):
        return {key: _picked(name, structure, one) for key, one in chosen.items()}
    if isinstance(chosen, tuple):
        return tuple(_picked(name, structure, one) for one in chosen)
    return conversion.tensor(name, selected(name, structure, chosen))


def selected(name: str, structure: Any, key: str | int) -> Any:
    """`structure[key]`, or an error that says what there is."""
    there = f"{name} of type {type(structure).__name__}"
    if isinstance(structure, Mapping):
        there = str(list(structure))
        if key in structure:
            return structure[key]
    elif isinstance(structure, (list, tuple)) and isinstance(key, numbers.Integral):
        there = str(list(range(len(structure))))
        if -len(structure) <= key < len(structure):
            return structure[key]
    nested = at_path(structure, key)
    if nested is not None:
        return nested
    index = name == "y_true" and isinstance(key, numbers.Integral)
    hint = f" (an integer is an index; the number itself is the float {float(key)})" if index else ""
    raise KeyError(f"`{name}` must have {key!r}, which a loss reads{hint}. Received: {there}")


def weight_at(sample_weight: Any, key: Any) -> Any:
    """What is given for the output `key`, or for all outputs on a path such as "a/b"; None if nothing is."""
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


def at_path(structure: Any, path: Any) -> Any:
    """What is at a path such as "a/b" or "a/0" in nested outputs; None if nothing is."""
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
