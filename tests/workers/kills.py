"""Kills workers in the middle of the training of docs/workers.md, and compares with an unbroken run."""

from __future__ import annotations

import pathlib
import random
import signal
import time
from typing import NamedTuple

import numpy as np

from tests.workers.pair import Pair
from tests.workers.worker import SCRIPT

#: Seconds in which a worker must end after the other was killed.
BOUND = 60.0


class Kill(NamedTuple):
    """A kill: of which worker, after which step, and whether the other worker ended by itself in time."""

    worker: int
    step: int
    other_ended: bool


class Report(NamedTuple):
    """All kills, and the variables that differ from those of an unbroken run, bit for bit."""

    kills: list[Kill]
    differ: list[str]


def killed_again_and_again(folder: pathlib.Path, kills: int, steps: int, seed: int = 0) -> Report:
    """Trains `steps` steps, broken off by so many kills, each some steps after the last; and once without a kill."""
    name, chance = f"{SCRIPT}-{steps}", random.Random(seed)
    broken, unbroken = folder / "broken", folder / "unbroken"
    for place in (broken, unbroken):
        place.mkdir()
    done = [_killed(broken, name, chance.randrange(2), chance.randrange(1, 12)) for _ in range(kills)]
    found = []
    for place in (broken, unbroken):
        with Pair(place, [name]) as pair:
            found.append(pair.found(name))
    differ = [
        f"{key} of worker {index}"
        for index, (one, other) in enumerate(zip(*found, strict=True))
        for key in other
        if not np.array_equal(one[key], other[key], equal_nan=True)
    ]
    return Report(done, differ)


def _killed(folder: pathlib.Path, name: str, worker: int, steps: int) -> Kill:
    """Starts both workers and kills one when it has made `steps` steps since."""
    with Pair(folder, [name]) as pair:
        log, process = folder / f"log-{worker}", pair.processes[worker]
        while len(made := _steps(log)) < steps:
            if process.poll() is not None:
                raise RuntimeError(f"Worker {worker} ended before {steps} steps:\n{log.read_text(errors='replace')}")
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        end = time.monotonic() + BOUND
        while pair.processes[1 - worker].poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        return Kill(worker, made[-1], pair.processes[1 - worker].poll() is not None)


def _steps(log: pathlib.Path) -> list[int]:
    """The steps that a worker says it has made; its last line may be unfinished."""
    return [
        int(line.split()[1]) for line in log.read_text(errors="replace").split("\n")[:-1] if line.startswith("step ")
    ]
