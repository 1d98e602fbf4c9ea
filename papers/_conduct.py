"""`python -m papers run`: everything that is not finished yet, then a verdict for each claim."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.harness.surroundings import commit
from blendloss.console.results import readable
from blendloss.console.screen import screen
from papers._claim import FAILED, NOT, PENDING, REPRODUCED, Judged, require_numbers
from papers._paper import Paper
from papers._pool import Finished, Opened, Task, run_all
from papers._record import RESULTS, opened, runs_of

COLOURS = {REPRODUCED: "green", NOT: "red", PENDING: "dim", FAILED: "red"}


def conduct(
    paper: Paper,
    *,
    smoke: bool,
    seeds: int | None,
    workers: Opened,
    folder: Path,
    overwrite: bool,
    only: list[str] | None,
) -> dict[str, Any]:
    """Runs `paper`, keeps each run in `folder` as it is finished, says what came out; gives the record."""
    config = paper.config(smoke, seeds)
    record = opened(paper, config, smoke, folder, overwrite)
    record["seeds"] = max(record["seeds"], config.seeds)
    console = screen()
    console.print(f"[bold]{paper.name}[/]: {paper.about}")
    arms = [arm for arm in paper.arms(config) if not only or arm in only]
    there = {(run["arm"], run["seed"]) for run in record["runs"]}
    # The same arm's seeds one after the other: a worker compiles it once.
    wanted = [Task(arm, seed) for arm in arms for seed in range(config.seeds)]
    tasks = [task for task in wanted if (task.arm, task.seed) not in there]
    if len(tasks) < len(wanted):
        console.print(f"  {len(wanted) - len(tasks)} of {len(wanted)} runs are in {folder / RESULTS.record} already")
    RESULTS.save(folder, record)
    try:
        _run(console, paper, config, tasks, workers, record, folder)
    except KeyboardInterrupt as interruption:
        kept = f"{len(record['runs'])} runs are kept in {folder}; the same command goes on"
        raise KeyboardInterrupt(f"interrupted: {kept}") from interruption
    with readable(folder / RESULTS.record) if there or only else nullcontext():
        judged = [] if smoke else [claim.judged(runs_of(record)) for claim in paper.claims]
        pictures = paper.plot(runs_of(record), folder)
    if smoke:
        console.print("  Smoke sizes: too short to judge a claim by.")
    else:
        report(console, judged)
    for picture in pictures:
        console.print(f"  {picture}")
    require_numbers(judged)
    return record


def _run(
    console: Console, paper: Paper, config: Any, tasks: list[Task], start: Opened, record: dict[str, Any], folder: Path
) -> None:
    if not tasks:
        return
    order = list(paper.arms(config))
    here = commit()
    started = time.perf_counter()
    with start() as workers, progress(console) as shown:
        if workers.about:
            console.print(f"  {workers.about}", markup=False)
        bar = shown.add_task(f"0/{len(tasks)} runs", total=len(tasks))
        finished = 0
        parts: dict[Task, float] = {}
        for one in run_all(paper.name, config, tasks, workers):
            if isinstance(one, Finished):
                finished += 1
                parts.pop(one.task, None)
                where = {"commit": here, "device": f"CPU ({one.processor})"}
                run = {"arm": one.task.arm, "seed": one.task.seed, "seconds": one.seconds, **where}
                record["runs"].append({**run, "result": one.result})
                record["runs"].sort(key=lambda run: (order.index(run["arm"]), run["seed"]))
                record["seconds"] = record.get("seconds", 0.0) + time.perf_counter() - started
                started = time.perf_counter()
                RESULTS.save(folder, record)
                console.print(
                    f"  {finished:>3}/{len(tasks)}  {one.task.arm:<28} seed {one.task.seed:<3} {one.seconds:7.1f} s",
                    markup=False,
                )
            else:
                parts[one.task] = one.part
            shown.update(bar, description=f"{finished}/{len(tasks)} runs", completed=finished + sum(parts.values()))


def progress(console: Console) -> Progress:
    """A bar, if `console` is a terminal."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def report(console: Console, judged: list[Judged]) -> None:
    """Prints each claim with its verdict."""
    table = Table(box=None, padding=(0, 2))
    for title in ("claim", "published", "ours", "verdict"):
        table.add_column(title, overflow="fold")
    for one in judged:
        *cells, verdict = one.row
        table.add_row(*cells, f"[{COLOURS.get(verdict, 'yellow')}]{verdict}[/]")
    console.print(table)
