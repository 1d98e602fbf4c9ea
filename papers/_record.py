"""The results of a paper: one JSON file, written whole or not at all, which a killed run continues."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from blendloss.console.arguments import MOST_SEEDS
from blendloss.console.environment import versions
from blendloss.console.errors import UserError
from blendloss.console.results import Results
from blendloss.console.strict_json import ANYTHING, NUMBER, TEXT, one_of, optional, whole
from papers._claim import Runs
from papers._paper import Paper, settings

FORMAT = 1
_FORM = {
    "format": whole(FORMAT, FORMAT),
    "paper": TEXT,
    "size": one_of("smoke", "paper"),
    "settings": {...: ANYTHING},
    "seeds": whole(1, MOST_SEEDS),
    "versions": {...: TEXT},
    "created": TEXT,
    "runs": [
        {
            "arm": TEXT,
            "seed": whole(0, MOST_SEEDS),
            "seconds": NUMBER,
            "commit": optional(TEXT),
            "device": TEXT,
            "result": {...: ANYTHING},
        }
    ],
    "seconds?": NUMBER,
}
RESULTS = Results("results", FORMAT, _FORM)
#: The folder, in a paper's own, with what is published of ours.
COMMITTED = "results"


def opened(paper: Paper, config: Any, smoke: bool, folder: Path, overwrite: bool) -> dict[str, Any]:
    """The record in `folder` that a run of `paper` adds to: the one that is there, or a new one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from error
    if (folder / RESULTS.record).exists() and not overwrite:
        record = of_paper(paper, folder)
        for what, now in (("settings", plain(settings(config))), ("versions", versions())):
            if record.get(what) != now:
                raise UserError(
                    f"{folder / RESULTS.record} has other {what}: choose another --output, or start again with "
                    f"--overwrite (there: {record.get(what)}; now: {now})"
                )
        return record
    return {
        "format": FORMAT,
        "paper": paper.name,
        "size": "smoke" if smoke else "paper",
        "settings": plain(settings(config)),
        "seeds": config.seeds,
        "versions": versions(),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "runs": [],
    }


def of_paper(paper: Paper, folder: Path) -> dict[str, Any]:
    """The record in `folder`, which must be of `paper`."""
    record = RESULTS.load(folder)
    if record["paper"] != paper.name:
        raise UserError(f"{folder / RESULTS.record} has another paper, {record['paper']}: choose another folder")
    RESULTS.check_runs(folder, record, paper.arms(paper.config(record["size"] == "smoke")))
    return record


def plain(value: Any) -> Any:
    """`value` as JSON gives it back."""
    return json.loads(json.dumps(value))


def runs_of(record: dict[str, Any]) -> Runs:
    """The runs of a record."""
    return Runs(record["runs"])


def committed(paper: Paper) -> dict[str, Any] | None:
    """The record that stands in the paper's own folder."""
    folder = paper.folder / COMMITTED
    return of_paper(paper, folder) if (folder / RESULTS.record).exists() else None
