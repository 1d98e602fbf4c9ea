"""Many runs side by side, in processes of this machine or on a cluster: what the two share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from papers._paper import load

MOST_JOBS = 64


@dataclass(frozen=True)
class Task:
    """An arm with a seed."""

    arm: str
    seed: int


@dataclass(frozen=True)
class Finished:
    """What a task gave, how long it took, and on which processor."""

    task: Task
    result: dict[str, Any]
    seconds: float
    processor: str


@dataclass(frozen=True)
class Part:
    """How much of a task is done."""

    task: Task
    part: float


class Workers(Protocol):
    """Where tasks are run, as many at a time as there are workers."""

    @property
    def about(self) -> str | None:
        """A line for the user, such as the address of a dashboard."""

    def submit(self, name: str, config: Any, task: Task) -> Future[Finished]:
        """Starts `run` of the paper `name`, now or when a worker is free."""

    def parts(self) -> Iterator[Part]:
        """What was reported since the last call."""

    def outcome(self, task: Task, future: Future[Finished]) -> Finished | None:
        """What a future that is done holds; None if the task must be submitted again.

        Raises:
            UserError: if the task was lost with its worker.
        """


#: Starts workers, and ends what they run.
Opened = Callable[[], AbstractContextManager[Workers]]


def run_all(name: str, config: Any, tasks: list[Task], workers: Workers) -> Generator[Finished | Part, None, None]:
    """Runs `tasks` of the paper `name`; gives what is finished, and how far the others are."""
    waiting = {workers.submit(name, config, task): task for task in tasks}
    while waiting:
        done = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED).done
        yield from workers.parts()
        for future in done:
            task = waiting.pop(future)
            finished = workers.outcome(task, future)
            if finished is None:
                waiting[workers.submit(name, config, task)] = task
            else:
                yield finished


def run(name: str, config: Any, task: Task, report: Callable[[Part], object]) -> Finished:
    """In a worker: one task of the paper `name`. A few times a second, `report` takes how much is done."""
    import keras

    from benchmarks.harness.surroundings import processor

    keras.utils.set_random_seed(task.seed)
    last = [time.perf_counter()]

    def progress(part: float) -> None:
        if time.perf_counter() - last[0] > 0.3:
            last[0] = time.perf_counter()
            report(Part(task, float(part)))

    started = time.perf_counter()
    result = load(name).run(config, task.arm, task.seed, progress)
    return Finished(task, result, time.perf_counter() - started, processor())


def share_cores(cores: int, workers: int) -> None:
    """In a worker, before TensorFlow has run anything: gives it one of `workers` shares of `cores` cores."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // workers))
    tf.config.threading.set_inter_op_parallelism_threads(1)


def usable_cores() -> list[int]:
    """The cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
