"""The samples of a run: a JSON line for each fresh process, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.harness.files import UserError, replace

FORMAT = 1
SAMPLES = "samples.jsonl"


class Store:
    """The records in a folder."""

    def __init__(self, folder: Path, resume: bool) -> None:
        self.path = folder / SAMPLES
        if self.path.exists() and not resume:
            raise UserError(f"{self.path} is there already: go on with --resume, or choose another --output")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror}") from error
        self.records = read(self.path) if self.path.exists() else []

    def find(self, case: dict[str, Any], process: int) -> dict[str, Any] | None:
        """What is kept of this job."""
        found = (one for one in self.records if one["case"] == case and one["process"] == process)
        return next(found, None)

    def check(self, conditions: dict[str, Any]) -> None:
        """Raises where going on would mix samples of different conditions."""
        for record in self.records:
            for name, now in conditions.items():
                if record[name] != now:
                    raise UserError(
                        f"the samples in {self.path} were taken with {name} {record[name]}, and now it is {now}: "
                        "choose another --output"
                    )

    def add(self, record: dict[str, Any]) -> None:
        workers = {name: about for one in self.records[:1] for name, about in one["workers"].items()}
        self.check({"workers": {**workers, **record["workers"]}} if workers else {})
        self.records.append(record)
        lines = "".join(json.dumps(one) + "\n" for one in self.records)
        replace(self.path, lambda path: path.write_text(lines, encoding="utf-8"))


def read(path: Path) -> list[dict[str, Any]]:
    """The records in a file."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} holds no samples: {error}") from error
    if not records or any(not isinstance(one, dict) or one.get("format") != FORMAT for one in records):
        raise UserError(f"{path} holds no samples of this version")
    return records
