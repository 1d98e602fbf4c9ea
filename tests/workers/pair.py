"""Two processes on the loopback interface, the workers of one cluster."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.workers.cases import LOG, SENT, Case

ROOT = pathlib.Path(__file__).parents[2]


def free_addresses(number: int) -> list[str]:
    """Addresses whose ports nobody uses, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    found = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return found


class Pair:
    """Two workers that train the cases `names`, in this order, and write to `folder`."""

    def __init__(self, folder: pathlib.Path, names: Sequence[str]) -> None:
        self.folder = folder
        addresses = ",".join(free_addresses(2))
        self.processes = [self._start(addresses, index, names) for index in range(2)]

    def _start(self, addresses: str, index: int, names: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.workers.worker", addresses, str(index)]
        with (self.folder / f"log-{index}").open("wb") as log:
            return subprocess.Popen(
                [*command, str(self.folder), *names],
                cwd=ROOT,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def found(self, name: str, timeout: float = 300.0) -> list[dict[str, np.ndarray]]:
        """What a case left behind, on each worker."""
        return [self._read(name, index, timeout) for index in range(2)]

    def _read(self, name: str, index: int, timeout: float) -> dict[str, np.ndarray]:
        place, start = self.folder / f"{name}-{index}.npz", time.monotonic()
        while not place.exists():
            ended = self.processes[index].poll() is not None
            if not place.exists() and (ended or time.monotonic() - start > timeout):
                logs = "\n".join((self.folder / f"log-{i}").read_text(errors="replace")[-3000:] for i in range(2))
                status = self.processes[index].poll()
                raise RuntimeError(f"Worker {index} gave nothing of {name!r}, status {status}:\n{logs}")
            time.sleep(0.02)
        with np.load(place, allow_pickle=False) as read:
            return {key.replace("|", "/"): read[key] for key in read.files}

    def close(self) -> None:
        """Ends both processes, whatever they do."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


class Comparison(NamedTuple):
    """How two workers differ from one process and from each other.

    Args:
        deviation: the largest difference from one process, relative to the largest number of its variable.
        where: the variable.
        differ: the variables that are not the same on both workers, bit for bit.
    """

    deviation: float
    where: str
    differ: list[str]


def compare(case: Case | None, expected: dict[str, np.ndarray], found: Sequence[dict[str, np.ndarray]]) -> Comparison:
    """Compares what two workers `found` with what one process gave.

    Logs are means over the workers, which are the logs of one process for means over parts of one size alone.
    """
    for one in found:
        if "error" in one:
            raise RuntimeError(str(one["error"]))
    first, second = found
    differ = [name for name in first if not np.array_equal(first[name], second[name], equal_nan=True)]
    logged = case is None or case.reduction == "mean"
    names = [name for name in expected if name != SENT and (logged or not name.startswith(LOG))]
    return Comparison(*deviation({n: expected[n] for n in names}, {n: first[n] for n in names}), differ)


def deviation(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> tuple[float, str]:
    """The largest difference, relative to the largest number of its variable, and which variable that is.

    A log counts as at least 1: the cost of a scalarisation is 0 up to rounding.
    """
    if set(expected) != set(found):
        raise ValueError(f"The two must have the same names. They differ in {sorted(set(expected) ^ set(found))}")
    return max(
        ((_relative(expected[name], found[name], float(name.startswith(LOG))), name) for name in expected),
        default=(0.0, "nothing"),
    )


def _relative(expected: np.ndarray, found: np.ndarray, least: float) -> float:
    if np.array_equal(expected, found, equal_nan=True):
        return 0.0
    wide = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    differs, size = np.abs(wide[1] - wide[0]), max(least, np.max(np.abs(wide[0])))
    return float(np.max(differs) / size) if size > 0 and np.all(np.isfinite(differs)) else np.inf
