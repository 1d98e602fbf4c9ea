"""The factories of schedules by name, by which saved schedules are made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Factory = TypeVar("_Factory", bound=Callable[..., Any])

_factories: dict[str, Callable[..., Any]] = {}


def factory(function: _Factory) -> _Factory:
    """Registers a function that makes schedules under its name."""
    _factories[function.__name__] = function
    return function


def factory_named(name: str) -> Callable[..., Any]:
    """The factory of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in _factories:
        raise ValueError(f"A schedule's name must be a factory of `blendloss.schedules`. Received: name={name!r}")
    return _factories[name]
