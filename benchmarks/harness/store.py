"""The samples of a run: a JSON line for each fresh process, written whole or not at all."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.console.errors import UserError
from benchmarks.console.results import replace
from benchmarks.console.strict_json import (
    ANYTHING,
    NUMBER,
    TEXT,
    Leaf,
    check,
    one_of,
    optional,
    parse,
    read_text,
    whole,
)

FORMAT = 1
SAMPLES = "samples.jsonl"
COUNT = whole(0, 1 << 53)
POSITIVE = Leaf("a number above 0", lambda value: NUMBER.holds(value) and value > 0)
VALUE = Leaf("a number, a string or null", lambda value: value is None or NUMBER.holds(value) or TEXT.holds(value))
FORM = {
    "format": whole(FORMAT, FORMAT),
    "benchmark": TEXT,
    "processor": TEXT,
    "usable cores": COUNT,
    "platform": TEXT,
    "commit": optional(TEXT),
    "flags": {...: optional(TEXT)},
    "settings": {"blocks": COUNT, "milliseconds": NUMBER, "arms?": ANYTHING},
    "case": {...: VALUE},
    "process": COUNT,
    "load": NUMBER,
    "workers": {...: {"versions": {...: TEXT}, "device": optional(TEXT)}},
    "samples": [ANYTHING],
}
#: By event; a timed sample may also hold what was counted.
SAMPLE = {
    "built": {"event": TEXT, "arm": TEXT, "seconds": NUMBER, "facts": {...: VALUE}, "timed?": ANYTHING},
    "failed": {"event": TEXT, "arm": TEXT, "error": TEXT},
    "time": {"event": TEXT, "arm": TEXT, "block": COUNT, "calls": whole(1, 1 << 53), "seconds": POSITIVE},
}


class Store:
    """The records in a folder."""

    def __init__(self, folder: Path, resume: bool) -> None:
        self.path = folder / SAMPLES
        if self.path.exists() and not resume:
            raise UserError(f"{self.path} is there already: go on with --resume, or choose another --output")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()  # before anything is timed that could not be kept
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
        lines = "".join(json.dumps(one, allow_nan=False) + "\n" for one in self.records)
        replace(self.path, lambda path: path.write_text(lines, encoding="utf-8"))


def read(path: Path) -> list[dict[str, Any]]:
    """The records in a file, all of one benchmark and with the same axes, each case and process once."""
    try:
        records = [parse(line) for line in read_text(path).splitlines()]
        _check(records)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} holds no samples of this version: {error}") from error
    return records


def _check(records: list[Any]) -> None:
    if not records:
        raise ValueError("it is empty")
    seen: dict[Any, int] = {}
    for line, record in enumerate(records, 1):
        check(record, FORM, f"line {line}")
        for number, sample in enumerate(record["samples"]):
            _check_sample(sample, f"line {line}.samples[{number}]")
        for what in (record["benchmark"], list(record["case"])):
            first = records[0]["benchmark"] if isinstance(what, str) else list(records[0]["case"])
            if what != first:
                raise ValueError(f"line {line} is of {what}, and line 1 of {first}")
        key = tuple(record["case"].items()), record["process"]
        if key in seen:
            raise ValueError(f"line {line} has the case and process of line {seen[key]}")
        seen[key] = line


def _check_sample(sample: Any, place: str) -> None:
    check(sample, {...: ANYTHING}, place)
    check(sample.get("event"), one_of(*SAMPLE), f"{place}.event")
    form = SAMPLE[sample["event"]]
    counted = dict.fromkeys(sample.keys() - form.keys(), NUMBER) if sample["event"] == "time" else {}
    check(sample, {**form, **counted}, place)
