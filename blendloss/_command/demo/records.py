"""The record of a run of the demo, and its picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from blendloss.console.arguments import MOST_SEEDS
from blendloss.console.errors import UserError
from blendloss.console.results import Results, replace
from blendloss.console.strict_json import ANYTHING, NUMBER, TEXT, optional, whole

FORMAT = 1
_COUNT = whole(0, 2**53)
_POSITIVE = whole(1, 2**53)
_ERRORS = {"mae": NUMBER, "rmse": NUMBER, "median": NUMBER}
_RUN = {
    "arm": TEXT,
    "seed": _COUNT,
    "test": _ERRORS,
    "validation": _ERRORS,
    "weights": {...: NUMBER},
    "seconds": NUMBER,
    "traces": _COUNT,
    "history": {...: [optional(NUMBER)]},
    "trajectory": {"step": [_COUNT], ...: [NUMBER]},
    "report?": optional(TEXT),
}
_FORM = {
    "format": whole(FORMAT, FORMAT),
    "created": TEXT,
    "versions": {...: TEXT},
    "seeds": whole(1, MOST_SEEDS),
    "settings": {
        "data": optional(TEXT),
        "target": optional(TEXT),
        "drop": [TEXT],
        "rows": optional(_POSITIVE),
        "epochs": _POSITIVE,
        "batch": _POSITIVE,
        "steps_per_epoch": _POSITIVE,
    },
    "data": {...: ANYTHING},
    "runs": [_RUN],
    # These are computed again when a run is continued.
    **dict.fromkeys(("baseline", "devices?", "arms?", "summary?", "findings?", "seconds?"), ANYTHING),
}
RESULTS = Results("demo", FORMAT, _FORM)
RECORD, PICTURE = RESULTS.record, RESULTS.picture
new_folder, save = RESULTS.new_folder, RESULTS.save

__all__ = ["FORMAT", "PICTURE", "RECORD", "RESULTS", "check_runs", "load", "new_folder", "replace", "save"]


def load(folder: Path) -> dict[str, Any]:
    """The record in `folder`; checks that its trajectories can be drawn."""
    record = RESULTS.load(folder)
    for run in record["runs"]:
        if len({len(values) for values in run["trajectory"].values()} | {0}) != 2:
            raise UserError(f"{folder / RECORD} is not a record of this demo: a trajectory is empty or cut short")
    return record


def check_runs(folder: Path, record: dict[str, Any], losses: Mapping[str, Collection[str]]) -> None:
    """Raises an error unless the record's runs are of these arms, each once, with weights of the `losses` of each."""
    RESULTS.check_runs(folder, record, losses)
    for run in record["runs"]:
        wanted = set(losses[run["arm"]])
        if {*run["weights"]} != wanted or {*run["trajectory"]} != wanted | {"step"}:
            wrong = f"the weights of {run['arm']} are not those of {', '.join(losses[run['arm']])}"
            raise UserError(f"{folder / RECORD} is not a record of this demo: {wrong}")
