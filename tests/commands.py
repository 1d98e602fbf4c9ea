"""What tests of the commands share: tables to read, mistakes in one line, and records that are JSON."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from blendloss._command.main import main


def write(path: pathlib.Path, columns: dict[str, list[str]]) -> pathlib.Path:
    """A CSV file with these columns."""
    lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that `blendloss arguments` ends with."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("blendloss: ")
    assert err.count("\n") == 1
    return err


def strict(path: pathlib.Path) -> Any:
    """The value of a JSON file without NaN and infinities, which JSON has not."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)
