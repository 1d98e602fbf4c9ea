"""Runs in processes of their own on this machine."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from blendloss.console.errors import UserError
from papers import _pool
from papers._pool import Finished, Part, Task, usable_cores

_REPORTS: Any = None


class Processes:
    """`Workers` of a process pool."""

    about: str | None = None

    def __init__(self, pool: ProcessPoolExecutor, reports: Any) -> None:
        self._pool = pool
        self._reports = reports

    def submit(self, name: str, config: Any, task: Task) -> Future[Finished]:
        return self._pool.submit(_run, name, config, task)

    def parts(self) -> Iterator[Part]:
        while True:
            try:
                yield self._reports.get_nowait()
            except queue.Empty:
                return

    def outcome(self, task: Task, future: Future[Finished]) -> Finished:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process has ended, perhaps for want of memory: the same command goes on; try fewer --jobs"
            ) from error


@contextmanager
def processes(jobs: int) -> Iterator[Processes]:
    """A pool of `jobs` processes. On an error, what runs is ended at once."""
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    with ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(jobs, reports)) as pool:
        try:
            yield Processes(pool, reports)
        except BaseException:
            workers = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:  # what runs would go on to its end
                worker.kill()
            raise


def _start(jobs: int, reports: Any) -> None:
    """In a worker: it ends with its parent, and has TensorFlow on its share of the cores."""
    global _REPORTS
    _REPORTS = reports
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # which may be for the group: the parent ends the workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _pool.share_cores(len(usable_cores()), jobs)


def _end_with_parent() -> None:
    # Waits at a pipe of which the parent alone holds the other end: it closes however the parent ends.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(name: str, config: Any, task: Task) -> Finished:
    return _pool.run(name, config, task, _REPORTS.put)
