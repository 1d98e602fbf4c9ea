"""Readable test ids of parameters that pytest would number."""

from __future__ import annotations

import builtins
import functools
import types
from typing import Any

_PLAIN = (str, bytes, bool, int, float, complex, types.NoneType)
_LONGEST = 50


def id_of(value: Any) -> str | None:
    """What `value` is, in at most 50 characters and without addresses; None where pytest's own id is readable."""
    if isinstance(value, _PLAIN) or getattr(value, "__name__", "<lambda>") != "<lambda>":
        return None
    text = _text(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _text(value: Any) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, tuple):
        end = ",)" if len(value) == 1 else ")"
        return (type(value).__name__ if hasattr(value, "_fields") else "") + "(" + ", ".join(map(_text, value)) + end
    if isinstance(value, functools.partial):
        return _text(value.func)
    name = getattr(value, "__name__", type(value).__name__)
    return _used(value.__code__) if name == "<lambda>" else name


def _used(code: types.CodeType) -> str:
    """The class that a lambda makes, or else what it calls last."""
    names = [name for name in code.co_names if len(name) > 1 and not isinstance(getattr(builtins, name, None), type)]
    classes = [name for name in names if name[0].isupper()]
    return (classes[:1] or names[-1:] or ["lambda"])[0]
