"""The packages that only the demo needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from blendloss.console import extras
from blendloss.console.errors import UserError

_NEEDED = ("matplotlib", "pandas")


def require(*more: str) -> None:
    """Raises unless the demo's packages, and `more`, are installed."""
    extras.require("the demo", *_NEEDED, *more)


def folder(package: str) -> Path:
    """Where `package` is installed, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f'the demo needs {package}: pip install "blendloss[demo]"')
    return Path(spec.submodule_search_locations[0])
