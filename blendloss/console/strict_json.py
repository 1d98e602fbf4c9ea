"""Strict reading of JSON that a command has written. Edited or truncated records give a one-line error."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 28
_MOST_LEVELS = 50


def read_text(path: Path) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not a regular file, which could block forever, or not UTF-8.
    """
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is not a regular file")
    if about.st_size > MOST_BYTES:
        raise ValueError(f"it has {about.st_size:,} bytes, and at most {MOST_BYTES:,} are read")
    return path.read_bytes().decode("utf-8")


def parse(text: str) -> Any:
    """The JSON value of `text`. NaN, infinity and repeated names raise a `ValueError`."""
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MOST_LEVELS:
            raise ValueError("it is nested too deeply")
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [item for items in inner for item in items]
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has the same name twice")
    return value


@dataclass(frozen=True)
class Leaf:
    """A value that is neither a list nor an object: the `rule` in words, and a function that checks it."""

    rule: str
    holds: Callable[[Any], bool]


Form = Any
"""The form of a value: a `Leaf`, `[form of each item]` or `{name: form}`.

A name that ends in "?" may be absent. `...: form` is the form of all other names.
"""

ANYTHING = Leaf("anything", lambda value: True)
TEXT = Leaf("a string", lambda value: isinstance(value, str))
NUMBER = Leaf(
    "a number",
    # Integers may be larger than any float.
    lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1.7e308,
)


def whole(least: int, most: int) -> Leaf:
    """A whole number."""
    return Leaf(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def one_of(*texts: str) -> Leaf:
    """One of these strings."""
    return Leaf(f"one of {', '.join(texts)}", lambda value: isinstance(value, str) and value in texts)


def optional(leaf: Leaf) -> Leaf:
    """The value of `leaf`, or null."""
    return Leaf(f"{leaf.rule} or null", lambda value: value is None or leaf.holds(value))


def check(value: Any, form: Form, place: str) -> None:
    """Raises a `ValueError` unless `value`, at `place` in the record, has the form."""
    if isinstance(form, Leaf):
        if not form.holds(value):
            raise _wrong(place, form.rule, value)
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise _wrong(place, "a list", value)
        for number, item in enumerate(value):
            check(item, form[0], f"{place}[{number}]")
    elif not isinstance(value, dict):
        raise _wrong(place, "an object", value)
    else:
        _check_names(value, form, place)


def _check_names(value: dict[str, Any], form: dict[Any, Form], place: str) -> None:
    forms = {name.removesuffix("?"): inner for name, inner in form.items() if name is not ...}
    absent = [name for name in forms if name in form and name not in value]
    unknown = [name for name in value if name not in forms and ... not in form]
    if absent or unknown:
        raise ValueError(f"{place} has {f'no {absent[0]!r}' if absent else f'the unknown name {unknown[0][:40]!r}'}")
    for name, item in value.items():
        check(item, forms[name] if name in forms else form[...], f"{place}.{name}")


def _wrong(place: str, rule: str, value: Any) -> ValueError:
    return ValueError(f"{place} must be {rule}. Received: {json.dumps(value)[:40]}")
