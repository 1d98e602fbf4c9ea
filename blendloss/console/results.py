"""The results of a run: a JSON file and a picture in a folder, written atomically."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UserError
from .strict_json import Form, check, parse, read_text


class Results(NamedTuple):
    """The files that a command writes: `<command>.json`, with the format number `format`, and `<command>.png`.

    `form` is the form of a record that can be continued; None if it cannot.
    """

    command: str
    format: int
    form: Form = None

    @property
    def record(self) -> str:
        """The record's file."""
        return f"{self.command}.json"

    @property
    def picture(self) -> str:
        """The picture's file."""
        return f"{self.command}.png"

    @property
    def default(self) -> Path:
        """The folder that contains the numbered folders."""
        return Path(f"blendloss-{self.command}")

    def new_folder(self, output: Path | None, overwrite: bool) -> Path:
        """The folder for a new run: `output`, or the next free `blendloss-<command>/run-...`; created."""
        try:
            if output is None:
                return self._numbered()
            output.mkdir(parents=True, exist_ok=True)
            held = [name for name in (self.record, self.picture) if (output / name).exists()]
            if held and not overwrite:
                choices = ["choose another --output", "replace it with --overwrite"]
                if self.form is not None:
                    choices.append(f"continue it with --resume {output}")
                ways = f"{', '.join(choices[:-1])}, or {choices[-1]}" if choices[2:] else " or ".join(choices)
                raise UserError(f"{output} already holds {' and '.join(held)}: {ways}")
            for name in held:
                # Otherwise an interrupted run would leave the picture of an older one.
                (output / name).unlink()
            tempfile.TemporaryFile(dir=output).close()
        except OSError as error:
            raise UserError(f"cannot write to {output or self.default}: {error.strerror}") from error
        return output

    def _numbered(self) -> Path:
        self.default.mkdir(exist_ok=True)
        number = 1
        while True:
            folder = self.default / f"run-{number:03d}"
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                number += 1

    def load(self, folder: Path) -> dict[str, Any]:
        """The record in `folder`, with its form checked."""
        path = folder / self.record
        try:
            record: dict[str, Any] = parse(read_text(path))
            if not isinstance(record, dict) or record.get("format") != self.format:
                raise ValueError(f"its format is not {self.format}")
            check(record, self.form, "the record")
        except FileNotFoundError as error:
            raise UserError(f"{folder} holds no {self.record} to continue") from error
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path} is not a record of this {self.command}: {error}") from error
        return record

    def check_runs(self, folder: Path, record: dict[str, Any], arms: Collection[str]) -> None:
        """Raises an error unless the record's runs are of `arms`, with valid seeds, each once."""
        found = Counter((run["arm"], run["seed"]) for run in record["runs"])
        for (arm, seed), times in found.items():
            if arm not in arms:
                wrong = f"there is no arm {arm!r}"
            elif seed >= record["seeds"]:
                wrong = f"seed {seed} of {arm} is not below {record['seeds']}, its number of seeds"
            elif times > 1:
                wrong = f"seed {seed} of {arm} is there twice"
            else:
                continue
            raise UserError(f"{folder / self.record} is not a record of this {self.command}: {wrong}")

    def save(self, folder: Path, record: dict[str, Any]) -> None:
        """Writes the record. NaN becomes null, because JSON has no NaN."""
        text = json.dumps(_strict(record), allow_nan=False, indent=1)
        replace(folder / self.record, lambda path: path.write_text(text + "\n", encoding="utf-8"))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns errors of computations with data from `path` into a `UserError`."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} holds what nothing can be made of: {type(error).__name__}: {error}") from error


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` write a file beside `path`, and then moves it to `path` in one step."""
    beside: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        beside = Path(name)
        write(beside)
        with beside.open("rb") as written:
            os.fsync(written)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException as error:
        if beside is not None:
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error
        raise


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
