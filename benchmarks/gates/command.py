"""`python -m benchmarks gates`: runs the arms, keeps every sample, writes the report."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import subprocess
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.gates.report import write
from blendloss._cli._environment import versions
from blendloss._cli._screen import screen

QUICK = ["Fixed", "DWA", "SoftAdapt", "MGDA"]


def run(arguments: argparse.Namespace) -> int:
    console = screen()
    from benchmarks.gates.arms import AGAIN, BASE, gates

    known = list(gates())
    if arguments.list:
        console.print(*known, sep="\n")
        return 0
    wanted = arguments.arms or ([arm for arm in QUICK if arm in known] if arguments.quick else known)
    unknown = sorted(set(wanted) - set(known))
    if unknown or min(arguments.losses) < 2:
        console.print(f"no such arm: {', '.join(unknown)}; see --list" if unknown else "--losses must be at least 2")
        return 2
    losses = [2] if arguments.quick else arguments.losses
    processes, blocks = (1, 5) if arguments.quick else (arguments.processes, arguments.blocks)
    path = arguments.output / "samples.jsonl"
    if path.exists() and not arguments.resume:
        console.print(f"{path} is there already: go on with --resume, or choose another --output")
        return 2
    arguments.output.mkdir(parents=True, exist_ok=True)
    jobs = [(k, process) for process in range(processes) for k in losses]
    done = finished(path)
    arms = [BASE, AGAIN, *wanted]
    columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(jobs) * len(arms) * (blocks + 1))
        for k, process in jobs:
            if (k, process) in done:
                progress.advance(task, len(arms) * (blocks + 1))
                continue

            def tell(text: str, k: int = k) -> None:
                progress.update(task, description=f"K = {k:2d}, {text}", advance=1)

            samples = measured(k, process, arms, blocks, arguments.batch, not arguments.graph, tell)
            keep(path, {"k": k, "process": process, **about(arguments), "samples": samples})
    print(write(arguments.output))
    return 0


def measured(k: int, process: int, arms: list[str], blocks: int, batch: int, compiled: bool, tell: Any) -> list[Any]:
    """The samples of one fresh process: [what, arm, ...], as `worker.measure` puts them."""
    from benchmarks.gates.worker import measure

    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    worker = context.Process(target=measure, args=(k, arms, blocks, batch, compiled, process, results))
    worker.start()
    samples: list[Any] = []
    while True:
        try:
            sample = results.get(timeout=5)
        except queue.Empty:
            if not worker.is_alive():
                raise RuntimeError(f"The process that timed K = {k} ended with {worker.exitcode}.") from None
            continue
        if sample[0] == "done":
            break
        samples.append(list(sample))
        tell(f"{sample[0]} {sample[1]}")
    worker.join()
    return samples


def about(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on."""
    root = Path(__file__).parents[2]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
    cpu = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "versions": versions(),
        "commit": commit.stdout.strip() or None,
        "device": f"CPU, {os.cpu_count()} cores, {cpu[0] if cpu else 'unknown'}",
        "load": os.getloadavg()[0],
        "batch": arguments.batch,
        "compiled": not arguments.graph,
    }


def keep(path: Path, record: dict[str, Any]) -> None:
    """Adds a line, whole: the file is written beside itself and put in its place."""
    before = path.read_text() if path.exists() else ""
    beside = path.with_suffix(".part")
    beside.write_text(before + json.dumps(record) + "\n")
    os.replace(beside, path)


def finished(path: Path) -> set[tuple[int, int]]:
    """The jobs (K, process) that the file holds."""
    if not path.exists():
        return set()
    records = map(json.loads, path.read_text().splitlines())
    return {(record["k"], record["process"]) for record in records}
