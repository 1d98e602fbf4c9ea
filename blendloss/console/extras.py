"""The packages that only some commands need."""

from __future__ import annotations

import importlib.util

from blendloss.console.errors import UserError


def require(command: str, *packages: str, extra: str = "demo") -> None:
    """Raises unless the `packages` that `command` needs, those of `extra`, are installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f'{command} needs {" and ".join(missing)}: pip install "blendloss[{extra}]"')
