"""Mistakes in what was asked, and files that are whole or not there.

Not blendloss's own: importing that imports TensorFlow, which only the worker processes do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """A mistake in what was asked for: shown as one line, without a traceback."""


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` write a file beside `path`, and puts it in its place in one step."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
