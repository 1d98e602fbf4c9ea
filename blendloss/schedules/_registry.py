"""The factories of schedules by name, from which saved schedules are restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Factory = TypeVar("_Factory", bound=Callable[..., Any])

_factories: dict[str, Callable[..., Any]] = {}


def factory(function: _Factory) -> _Factory:
    """Registers a function that makes schedules under its name."""
    _factories[function.__name__] = function
    return function


def get_factory(name: str) -> Callable[..., Any]:
    """The factory called `name`.

    Raises:
        ValueError: if there is no such factory.
    """
    if name not in _factories:
        raise ValueError(f"A schedule's name must be a factory of `blendloss.schedules`. Received: name={name!r}")
    return _factories[name]
