"""What each adaptive weighting costs when several workers train one network, and how that grows with their number.

Each worker is a process of its own on this machine, and all talk over the loopback interface. An arm is built in all of
them, and a call makes a few steps in all of them.
"""

from __future__ import annotations

import functools
import itertools
import json
import socket
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import problems
from benchmarks.gates import PLAIN
from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject
from benchmarks.harness.remote import Remote
from benchmarks.workers import scaling

#: Steps of one call: enough that telling the workers does not count.
STEPS = 16
#: Seconds that a worker may take for an answer.
TIMEOUT = 300
#: Elements of the collectives that are timed alone.
ELEMENTS = (2**4, 2**14, 2**18, 2**20)

BENCHMARK = Benchmark(
    name="workers",
    about="a training step of several workers with each adaptive weighting, against Keras's plain sum of the losses",
    axes=(
        Axis("workers", (1, 2, 4), "W, processes on this machine", quick=(2,)),
        Axis("width", (64, 512), "units of a hidden layer", quick=(16,)),
        Axis("losses", (3,), "K, the number of losses and outputs"),
        Axis("batch", (32,), "examples of a worker's part of a step"),
    ),
    base=PLAIN,
    quantities=(
        Quantity("ms a step", lambda facts, seconds: 1e3 * seconds / facts["steps"]),
        Quantity("collectives a step", lambda facts, _: facts["collectives"], "{:.0f}"),
        Quantity("bytes that a worker hands over a step", lambda facts, _: facts["bytes"], "{:.0f}"),
    ),
    plots=(Plot("ms a step", "workers"),),
    parts=(Part("benchmarks.workers"),),
    quick_arms=("Fixed",),
    conclusions=scaling.conclusions,
)

device = problems.device


def arms(case: dict[str, Any]) -> Iterable[str]:
    from benchmarks.gates import gates

    return [PLAIN, *gates(), *(scaling.alone(elements) for elements in ELEMENTS)]


def build(case: dict[str, Any], arm: str) -> Subject:
    workers = _workers(case["workers"])
    called = f"{arm} {next(_number)}"
    given = {"module": "benchmarks.workers.member", "case": case, "arm": arm, "called": called}
    built = workers.ask("build", **given, expected="", folder="")
    facts = {**built[0]["facts"], "steps": STEPS}
    return Subject(lambda: workers.ask("run", arm=called, calls=STEPS), facts=facts)


_number = itertools.count()


@functools.cache
def _workers(number: int) -> Workers:
    """The workers of this process, which end with it."""
    return Workers(number)


class Workers:
    """So many processes, which are one cluster."""

    def __init__(self, number: int) -> None:
        addresses = [f"127.0.0.1:{port}" for port in _free_ports(number)]
        self._remotes = [
            Remote(sys.executable, TIMEOUT, {"TF_CONFIG": json.dumps(_task(addresses, index))})
            for index in range(number)
        ]
        self._threads = ThreadPoolExecutor(number)

    def ask(self, do: str, **arguments: Any) -> list[dict[str, Any]]:
        """The answers of all workers, each asked at once: they wait for each other."""
        return list(self._threads.map(lambda remote: remote.ask(do, **arguments), self._remotes))


def _task(addresses: list[str], index: int) -> dict[str, Any]:
    return {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
