"""`python -m papers scale`: how many runs an hour so many workers finish."""

from __future__ import annotations

import datetime
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.harness.surroundings import commit
from blendloss.console.environment import versions
from blendloss.console.errors import UserError
from blendloss.console.results import Results
from blendloss.console.screen import screen
from papers._cluster import cluster
from papers._conduct import progress
from papers._paper import Paper, settings
from papers._pool import Finished, Opened, Task, run_all

SCALE = Results("scale", 1)


def scale(paper: Paper, config: Any, arm: str, runs: int, counts: Sequence[int], where: str, folder: Path) -> None:
    """Runs `runs` seeds of `arm` on so many workers of the cluster `where`, for each of `counts`."""
    if runs < 2 * max(counts):
        raise UserError(f"--runs must be at least twice the largest of --workers. Received: {runs}, {max(counts)}")
    opened = [cluster(f"local:{count}") if where == "local" else cluster(where, count) for count in counts]
    folder.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "format": SCALE.format,
        "paper": paper.name,
        "settings": settings(config),
        "arm": arm,
        "cluster": where,
        "versions": versions(),
        "commit": commit(),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "measured": [],
    }
    console = screen()
    console.print(f"[bold]{paper.name}[/], {arm}: {runs} runs each")
    for count, workers in zip(counts, opened, strict=True):
        load = os.getloadavg()[0]
        with progress(console) as shown:
            bar = shown.add_task(f"{count} workers", total=runs)
            ends, seconds, processors = [], [], set()
            started = time.perf_counter()
            for one in _finished(paper, config, [Task(arm, seed) for seed in range(runs)], workers):
                ends.append(time.perf_counter() - started)
                seconds.append(one.seconds)
                processors.add(one.processor)
                shown.update(bar, advance=1)
        record["measured"].append(
            {
                "workers": count,
                "runs": runs,
                "processors": sorted(processors),
                "load before": load,
                "seconds to the first": ends[0],
                # Each worker compiles in its first run.
                "runs an hour": 3600 * (runs - count) / (ends[-1] - ends[count - 1]),
                "median seconds of a run": statistics.median(seconds[count:]),
            }
        )
        SCALE.save(folder, record)
    console.print(_table(record["measured"]))
    console.print(f"  {folder / SCALE.record}", markup=False)


def _finished(paper: Paper, config: Any, tasks: list[Task], start: Opened) -> Iterator[Finished]:
    with start() as workers:
        for one in run_all(paper.name, config, tasks, workers):
            if isinstance(one, Finished):
                yield one


def _table(measured: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for title in ("workers", "runs an hour", "over the first row", "s a run", "s to the first run", "load before"):
        table.add_column(title, justify="right")
    for row in measured:
        rate = row["runs an hour"]
        table.add_row(
            str(row["workers"]),
            f"{rate:,.0f}",
            f"{rate / measured[0]['runs an hour']:.2f}",
            f"{row['median seconds of a run']:.2f}",
            f"{row['seconds to the first']:.1f}",
            f"{row['load before']:.1f}",
        )
    return table
