"""Runs in processes of their own, as many at a time as asked for."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from blendloss.console.errors import UserError
from papers._paper import load

_REPORTS: Any = None


@dataclass(frozen=True)
class Task:
    """An arm with a seed."""

    arm: str
    seed: int


@dataclass(frozen=True)
class Finished:
    """What a task gave, and how long it took."""

    task: Task
    result: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Part:
    """How much of a task is done."""

    task: Task
    part: float


def run_all(name: str, config: Any, tasks: list[Task], jobs: int) -> Generator[Finished | Part, None, None]:
    """Runs `tasks` of the paper `name`, `jobs` at a time; gives what is finished, and how far the others are."""
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    with ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(jobs, reports)) as pool:
        waiting: set[Future[Finished]] = {pool.submit(_run, name, config, task) for task in tasks}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                yield from _drained(reports)
                for future in done:
                    yield future.result()
        except BaseException as error:
            workers = list(pool._processes.values())
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:  # what runs would go on to its end
                worker.kill()
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a worker process has ended, perhaps for want of memory: the same command goes on; try fewer --jobs"
                ) from error
            raise


def _drained(reports: Any) -> Iterator[Part]:
    while True:
        try:
            yield reports.get_nowait()
        except queue.Empty:
            return


def _start(jobs: int, reports: Any) -> None:
    """In a worker: it ends with its parent, and has TensorFlow on its share of the cores."""
    global _REPORTS
    _REPORTS = reports
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # which may be for the group: the parent ends the workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import tensorflow as tf

    threads = max(1, len(os.sched_getaffinity(0)) // jobs) if hasattr(os, "sched_getaffinity") else 1
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _end_with_parent() -> None:
    # Waits at a pipe of which the parent alone holds the other end: it closes however the parent ends.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(name: str, config: Any, task: Task) -> Finished:
    import keras

    keras.utils.set_random_seed(task.seed)
    last = [time.perf_counter()]

    def progress(part: float) -> None:
        if time.perf_counter() - last[0] > 0.3:
            last[0] = time.perf_counter()
            _REPORTS.put(Part(task, float(part)))

    started = time.perf_counter()
    result = load(name).run(config, task.arm, task.seed, progress)
    return Finished(task, result, time.perf_counter() - started)
