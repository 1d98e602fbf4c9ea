"""A run: every case in fresh processes, every arm block by block in random order, every sample kept."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.console.errors import UserError
from benchmarks.harness.benchmark import AGAIN, Benchmark, Part
from benchmarks.harness.blocks import Run, interleaved
from benchmarks.harness.remote import ROOT, Remote, WorkerError, WorkerGone
from benchmarks.harness.store import FORMAT, Store
from benchmarks.harness.surroundings import conditions

PEERS = ROOT / os.environ.get("VENV_PEERS", ".venv-peers") / "bin" / "python"


class Plan(NamedTuple):
    """What was asked for."""

    axes: dict[str, tuple[Any, ...]]
    arms: tuple[str, ...]
    processes: int
    blocks: int
    milliseconds: float
    timeout: float


def cases(axes: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Every combination, as a dictionary."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def run(benchmark: Benchmark, plan: Plan, folder: Path, resume: bool) -> int:
    """Measures what the folder lacks; returns how many arms failed."""
    console = Console(highlight=False)
    store = Store(folder, resume)
    settings = {"blocks": plan.blocks, "milliseconds": plan.milliseconds, "arms": list(plan.arms) or "all"}
    steady = {"benchmark": benchmark.name, **conditions(), "settings": settings}
    store.check(steady)
    parts = [part for part in benchmark.parts if not part.peers or PEERS.exists()]
    if len(parts) < len(benchmark.parts):
        absent = "The peers (torch, JAX, optax) are not installed: they are left out; `make peers` installs them."
        console.print(absent, soft_wrap=True)
    # Process by process, so that an interruption leaves every case with as many as it can.
    jobs = [(case, process) for process in range(plan.processes) for case in cases(plan.axes)]
    columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        whole = progress.add_task(benchmark.name, total=len(jobs))
        now = progress.add_task("", total=None)
        for case, process in jobs:
            if store.find(case, process) is None:
                label = ", ".join(f"{name} {value}" for name, value in case.items())

                def tell(text: str, total: int, label: str = label) -> None:
                    progress.update(now, description=f"{label}: {text}", total=total, advance=1)

                progress.reset(now)
                load = os.getloadavg()[0]
                measured = measure(benchmark, parts, case, process, plan, folder, tell)
                store.add(
                    {
                        "format": FORMAT,
                        **steady,
                        "case": case,
                        "process": process,
                        "load": load,
                        **measured,
                    }
                )
            progress.advance(whole)
    return sum(sample["event"] == "failed" for record in store.records for sample in record["samples"])


def measure(
    benchmark: Benchmark,
    parts: list[Part],
    case: dict[str, Any],
    process: int,
    plan: Plan,
    folder: Path,
    tell: Callable[[str, int], None],
) -> dict[str, Any]:
    """The samples of one case in fresh processes, and what those say of themselves.

    An arm that takes its process along as it is built, such as one that needs more memory than there is, is a line;
    the others begin anew without it.
    """
    lost: dict[str, str] = {}
    while True:
        try:
            about, samples = _attempt(benchmark, parts, case, process, plan, folder, tell, set(lost))
        except _LostError as loss:
            lost[loss.arm] = str(loss)
        else:
            failed = [{"event": "failed", "arm": arm, "error": error} for arm, error in lost.items()]
            return {"workers": about, "samples": failed + samples}


class _LostError(Exception):
    def __init__(self, arm: str, error: str) -> None:
        super().__init__(error)
        self.arm = arm


def _attempt(
    benchmark: Benchmark,
    parts: list[Part],
    case: dict[str, Any],
    process: int,
    plan: Plan,
    folder: Path,
    tell: Callable[[str, int], None],
    without: set[str],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="blendloss-benchmark-")))
        files = {"expected": str(scratch / "expected.npz"), "folder": str(folder.resolve())}
        homes: dict[str, tuple[Remote, Part]] = {}
        about = {}
        samples: list[dict[str, Any]] = []
        for part in parts:
            worker = stack.enter_context(Remote(PEERS if part.peers else sys.executable, plan.timeout))
            try:
                about[part.module] = worker.ask("about", module=part.module)
                names = worker.ask("arms", module=part.module, case=case)["arms"]
            except WorkerError as error:
                samples.append({"event": "failed", "arm": part.module, "error": str(error)})
                continue
            homes |= dict.fromkeys(names, (worker, part))
        homes = {name: home for name, home in _chosen(homes, benchmark, plan.arms).items() if name not in without}
        total = len(homes) * (1 + plan.blocks)
        runs: dict[str, Run] = {}
        for name, (worker, part) in homes.items():
            tell(name, total)
            given = {"module": part.module, "case": case, "arm": name.removesuffix(AGAIN), "called": name}
            try:
                built = worker.ask("build", **given, **files)
            except WorkerGone as error:
                raise _LostError(name, str(error)) from None
            except WorkerError as error:
                samples.append({"event": "failed", "arm": name, "error": str(error)})
                continue
            samples.append({"event": "built", "arm": name, **built})
            if built["timed"]:
                runs[name] = functools.partial(_run, worker, name)
        for sample in interleaved(runs, plan.blocks, plan.milliseconds / 1e3, seed=process):
            tell(sample["arm"], total)
            samples.append(sample)
    return about, samples


def _run(worker: Remote, arm: str, calls: int) -> dict[str, Any]:
    return worker.ask("run", arm=arm, calls=calls)


def _chosen(homes: dict[str, Any], benchmark: Benchmark, wanted: tuple[str, ...]) -> dict[str, Any]:
    """The arms that were asked for: the base first, whose outputs are the others' measure, and once more."""
    unknown = [name for name in wanted if name not in homes]
    if unknown:
        raise UserError(f"--arms must be among {list(homes)}. Received: {unknown}")
    arms = [name for name in homes if name != benchmark.base and (not wanted or name in wanted)]
    first = [benchmark.base, *[benchmark.base + AGAIN] * benchmark.paired] if benchmark.base in homes else []
    return {name: homes[name.removesuffix(AGAIN)] for name in (*first, *arms)}


def arms_of(benchmark: Benchmark, case: dict[str, Any], timeout: float) -> Iterator[str]:
    """The names of the arms, by asking a process for them."""
    for part in benchmark.parts:
        if part.peers and not PEERS.exists():
            continue
        with Remote(PEERS if part.peers else sys.executable, timeout) as worker:
            yield from worker.ask("arms", module=part.module, case=case)["arms"]
