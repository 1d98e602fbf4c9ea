"""`python -m papers scale`: how many runs an hour so many workers finish."""

from __future__ import annotations

import datetime
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.harness.surroundings import commit
from blendloss.console.environment import versions
from blendloss.console.results import Results
from blendloss.console.screen import screen
from papers._cluster import cluster
from papers._conduct import progress
from papers._paper import Paper, settings
from papers._pool import Finished, Task, run_all

SCALE = Results("scale", 1)


def scale(paper: Paper, config: Any, arm: str, runs: int, counts: Sequence[int], where: str, folder: Path) -> None:
    """Runs `runs` seeds of `arm` on so many workers of the cluster `where`, for each of `counts`.

    The first run of each worker, in which TensorFlow starts and programs are compiled, is not counted.
    """
    clusters = [cluster(f"local:{count}" if where == "local" else where, count) for count in counts]
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
    for count, start in zip(counts, clusters, strict=True):
        load = os.getloadavg()[0]
        started = time.perf_counter()
        with start() as workers, progress(console) as shown:
            bar = shown.add_task(f"{count} workers", total=runs)
            first = Task(arm, 0)
            for future in workers.submit_to_each(paper.name, config, first):
                workers.outcome(first, future)
            ready = time.perf_counter()
            finished = []
            for one in run_all(paper.name, config, [Task(arm, seed) for seed in range(runs)], workers):
                if isinstance(one, Finished):
                    finished.append(one)
                    shown.update(bar, advance=1)
            ended = time.perf_counter()
        record["measured"].append(
            {
                "workers": count,
                "runs": runs,
                "processors": sorted({one.processor for one in finished}),
                "load before": load,
                "seconds to start": ready - started,
                "runs an hour": 3600 * runs / (ended - ready),
                "median seconds of a run": statistics.median(one.seconds for one in finished),
            }
        )
        SCALE.save(folder, record)
    console.print(_table(record["measured"]))
    console.print(f"  {folder / SCALE.record}", markup=False)


def _table(measured: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for title in ("workers", "runs an hour", "over the first row", "s a run", "s to start", "load before"):
        table.add_column(title, justify="right")
    for row in measured:
        rate = row["runs an hour"]
        table.add_row(
            str(row["workers"]),
            f"{rate:,.0f}",
            f"{rate / measured[0]['runs an hour']:.2f}",
            f"{row['median seconds of a run']:.2f}",
            f"{row['seconds to start']:.1f}",
            f"{row['load before']:.1f}",
        )
    return table
