"""The command line: a parser with one-line errors, and types of arguments."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

MOST_SEEDS = 1000
_SHOWN = 40


class Parser(argparse.ArgumentParser):
    """Prints an error in one line, without the usage. Raises if the help cannot be written."""

    def error(self, message: str) -> NoReturn:
        """Prints the error and ends the process with status 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())} (see {self.prog} --help)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number from `least` to `most`, in plain digits."""

    def read(text: str) -> int:
        # `int` also takes underscores, spaces and the digits of every script.
        if not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
            raise argparse.ArgumentTypeError(f"must be a whole number. Received: {text[:_SHOWN]!r}")
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}. Received: {text}")
        return int(text)

    return read


def number(text: str) -> float:
    """A finite number, in plain digits."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number. Received: {text[:_SHOWN]!r}")
    return value


def path(text: str) -> Path:
    """A path. An empty string raises, because it would be the working directory."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path. Received: {text[:_SHOWN]!r}")
    return Path(text)


seeds = whole(1, MOST_SEEDS)
