"""The record of a run: one JSON file, written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blendloss._demo._errors import UserError

RECORD = "demo.json"
PICTURE = "demo.png"
FORMAT = 1
_DEFAULT = Path("blendloss-demo")


def new_folder(output: Path | None, overwrite: bool) -> Path:
    """The folder for a new run: `output`, or the next free `blendloss-demo/run-...`; created."""
    try:
        if output is None:
            return _numbered()
        output.mkdir(parents=True, exist_ok=True)
        held = [name for name in (RECORD, PICTURE) if (output / name).exists()]
        if held and not overwrite:
            raise UserError(
                f"{output} already holds {' and '.join(held)}: choose another --output, replace it with --overwrite, "
                f"or continue it with --resume {output}"
            )
        for name in held:
            # Else an interrupted run would stand beside the picture of an older one.
            (output / name).unlink()
        tempfile.TemporaryFile(dir=output).close()
    except OSError as error:
        raise UserError(f"cannot write to {output or _DEFAULT}: {error.strerror}") from error
    return output


def _numbered() -> Path:
    _DEFAULT.mkdir(exist_ok=True)
    number = 1
    while True:
        folder = _DEFAULT / f"run-{number:03d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def load(folder: Path) -> dict[str, Any]:
    """The record in `folder`."""
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no {RECORD} to continue") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not a record of this demo: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path} is not a record of this version's demo")
    return record


def save(folder: Path, record: dict[str, Any]) -> None:
    """Writes the record; NaN, which JSON has not, becomes null."""
    text = json.dumps(_strict(record), allow_nan=False, indent=1)
    replace(folder / RECORD, lambda path: path.write_text(text + "\n", encoding="utf-8"))


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` write a file beside `path`, and puts it in its place in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        raise


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
