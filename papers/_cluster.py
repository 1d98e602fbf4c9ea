"""Runs on the workers of a Dask cluster: one on this machine, or any whose scheduler has an address.

Dask repeats what ran on a worker that was lost, and says so if it happens too often. Runs share a process, and so the
seeds and threads of TensorFlow, only one after another: workers have one thread.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import pickle
import platform
import queue
import signal
import threading
import uuid
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from dask.system import cpu_count
from distributed import Client, KilledWorker, LocalCluster, TimeoutError, get_client, get_worker

from blendloss.console.arguments import whole
from blendloss.console.errors import UserError
from blendloss.console.strict_json import ANYTHING, TEXT, check, parse, read_text
from papers import _pool
from papers._code import differences, fingerprint
from papers._pool import MOST_JOBS, Finished, Part, Task, usable_cores

_GOES_ON = "finished runs are kept, and the same command goes on"
_SECONDS_TO_CONNECT = 20


class _Abandoned(Exception):
    """Nobody waits for this run any more."""


class Cluster:
    """`Workers` of a Dask cluster."""

    def __init__(self, client: Client, about: str, only: list[str] | None = None) -> None:
        self.about = about
        self._only = only
        self._executor = client.get_executor(pure=False)
        self._topic = f"papers-{uuid.uuid4().hex}"
        self._reports: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._latest: dict[str, Task] = {}  # by address, until it is finished
        client.subscribe_topic(self._topic, self._heard)

    def _heard(self, event: tuple[float, Any]) -> None:
        address, arm, seed, part = event[1]
        task = Task(arm, seed)
        self._latest[address] = task
        self._reports.put(Part(task, part))

    def submit(self, name: str, config: Any, task: Task) -> Future[Finished]:
        return self._submit(name, config, task, self._only)

    def submit_to_each(self, name: str, config: Any, task: Task) -> list[Future[Finished]]:
        """Starts the same task once on each of the workers that were chosen."""
        return [self._submit(name, config, task, [worker]) for worker in self._only or []]

    def _submit(self, name: str, config: Any, task: Task, workers: list[str] | None) -> Future[Finished]:
        # The worker compares versions before it looks into the rest, which other versions may not have.
        call = _Call(fingerprint(), self._topic, pickle.dumps((name, config, task)))
        key = f"{name}-{task.arm}-{task.seed}-{uuid.uuid4().hex}"
        return self._executor.submit(pickle.loads, pickle.dumps(call), key=key, workers=workers)

    def parts(self) -> Iterator[Part]:
        while not self._reports.empty():
            yield self._reports.get()

    def outcome(self, task: Task, future: Future[Finished]) -> Finished | None:
        try:
            finished = future.result()
        except KilledWorker as error:
            if self._latest.get(error.last_worker.address, task) != task:
                return None  # it only waited there, for the run that ended the worker
            raise UserError(
                f"the run of {task.arm!r} with seed {task.seed} has ended {error.allowed_failures + 1} workers, "
                f"perhaps for want of memory; {_GOES_ON}"
            ) from error
        except CancelledError as error:
            raise UserError(f"the cluster's scheduler is gone; {_GOES_ON}") from error
        except ModuleNotFoundError as error:
            raise UserError(
                f"a worker has no module {error.name}: start workers in this checkout, with the same packages"
            ) from error
        for worker, latest in list(self._latest.items()):  # another thread adds to it
            if latest == task:
                self._latest.pop(worker, None)
        return finished


class _Call:
    """A call of `_run` once it is unpickled.

    Dask would import a function of ours as it reads the message: a worker without it would end, and give no reason.
    """

    def __init__(self, *given: Any) -> None:
        self._given = given

    def __reduce__(self) -> tuple[Any, ...]:
        return _run, self._given


def cluster(where: str, most: int | None = None) -> Callable[[], AbstractContextManager[Cluster]]:
    """`local` or `local:N`, a new cluster of this machine; or the address or the file of a scheduler that is there.

    Of the cluster, the first `most` workers are used; all, also those that come later, if it is None.
    """
    kind, colon, number = where.partition(":")
    if kind == "local":
        try:
            return partial(_opened, most, started, whole(1, MOST_JOBS)(number) if colon else cpu_count())
        except ArgumentTypeError as error:
            raise UserError(f"the number of workers in --cluster local:N {error}") from error
    address = where if "://" in where else _address_in(Path(where))
    if address.startswith("tls://") and dask.config.get("distributed.comm.tls.ca-file", None) is None:
        raise UserError(f"{address} needs Dask's settings of TLS, such as DASK_DISTRIBUTED__COMM__TLS__CA_FILE")
    return partial(_opened, most, _joined, address)


def _address_in(file: Path) -> str:
    """The scheduler's address in the file that it wrote."""
    try:
        about = parse(read_text(file))
        check(about, {"address": TEXT, ...: ANYTHING}, "the scheduler")
    except (OSError, ValueError) as error:
        raise UserError(
            "--cluster must be local, local:N, an address such as tcp://host:8786, or a scheduler's file. "
            f"Received: {str(file)!r} ({getattr(error, 'strerror', None) or error})"
        ) from error
    return str(about["address"])


@contextmanager
def _opened(
    most: int | None, join: Callable[..., AbstractContextManager[Client]], given: int | str
) -> Iterator[Cluster]:
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":  # what matters of its log is an exception here
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with join(given) as client:
        about = client.scheduler_info()
        dashboard = client.dashboard_link if "dashboard" in about["services"] else "none"
        if join is started and importlib.util.find_spec("bokeh") is None:
            dashboard += " (its plots need bokeh: pip install bokeh)"
        workers = sorted(about["workers"])
        if most is not None and len(workers) < most:
            raise UserError(f"the cluster has {len(workers)} workers, fewer than {most}")
        line = f"cluster {about['address']}, workers: {len(workers)}, dashboard: {dashboard}"
        yield Cluster(client, line, None if most is None else workers[:most])


@contextmanager
def started(workers: int) -> Iterator[Client]:
    """A client of a new cluster of this machine."""
    # As in other processes, NumPy's libraries choose how many threads they use.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    with ExitStack() as stack:
        with (
            dask.config.set({f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in threads.items()}),
            _uninterrupted(),
        ):
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
        yield client


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals wait until the end: Dask cannot close a cluster that is about to start.

    What starts here never receives SIGINT. Ctrl-C is for the whole group of processes, and the parent ends the others.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone handles signals
        yield
        return
    waiting: list[signal.Signals] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: waiting.append(signal.Signals(number)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if callable(signal.getsignal(number))
    }
    resource_tracker.ensure_running()  # which would unblock SIGINT as it starts
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for received in waiting:
        signal.raise_signal(received)


@contextmanager
def _joined(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(f"no scheduler answers at {address}: {error}") from error
    with client:
        yield client


def _run(expected: dict[str, str], topic: str, about: bytes) -> Finished:
    """In a worker: checks that it runs the same code, then runs."""
    worker = get_worker()
    if different := differences(expected, fingerprint()):
        raise UserError(f"the worker {worker.address} runs another version ({'; '.join(different)})")
    if worker.state.nthreads != 1:
        raise UserError(
            f"the worker {worker.address} runs {worker.state.nthreads} tasks at a time, which would share seeds: start "
            "it with --nthreads 1, and more of them with --nworkers"
        )
    _share_cores()
    name, config, task = pickle.loads(about)
    key = worker.get_current_task()

    def report(part: Part) -> None:
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise _Abandoned
        worker.log_event(topic, [worker.address, task.arm, task.seed, part.part])

    report(Part(task, 0.0))
    return _pool.run(name, config, task, report)


@functools.cache
def _share_cores() -> None:
    """Once in a process: shares the cores with the other workers that are now on them."""
    here = _place()
    places = get_client().run(_place, on_error="ignore")
    _pool.share_cores(cpu_count(), sum(place == here for place in places.values()))


def _place() -> str:
    """The machine and its cores that this process may use: jobs of a queue may have some each."""
    return f"{platform.node()} {usable_cores()}"
