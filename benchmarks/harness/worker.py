"""A worker process: `python -m benchmarks.harness.worker`. Builds arms and times blocks of calls, as it is told.

One request and one answer a line, in JSON, over stdin and stdout. All that libraries print goes to a file instead.
It imports nothing but NumPy and the module that it is told to, so that it runs in the peers' environment, too.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.harness.subject import Subject

#: Of which versions are kept, where they are installed.
PACKAGES = ("blendloss", "tensorflow", "keras", "numpy", "torch", "jax", "jaxlib", "optax")


class Worker:
    """The arms that were built here."""

    def __init__(self) -> None:
        self.subjects: dict[str, Subject] = {}

    def arms(self, module: str, case: dict[str, Any]) -> dict[str, Any]:
        return {"arms": list(importlib.import_module(module).arms(case))}

    def about(self, module: str) -> dict[str, Any]:
        device = getattr(importlib.import_module(module), "device", None)
        versions = {name: version for name in PACKAGES if (version := _version(name))}
        return {"versions": {"python": sys.version.split()[0], **versions}, "device": device() if device else None}

    def build(
        self, module: str, case: dict[str, Any], arm: str, called: str, expected: str, folder: str
    ) -> dict[str, Any]:
        start = time.perf_counter()
        subject = importlib.import_module(module).build(case, arm)
        if subject.outputs:
            _check(subject, Path(expected))
        if subject.save:
            subject.save(Path(folder))
        if subject.call:
            for _ in range(3):
                subject.call()
            subject.wait()
        self.subjects[called] = subject
        return {"seconds": time.perf_counter() - start, "facts": dict(subject.facts), "timed": bool(subject.call)}

    def run(self, arm: str, calls: int) -> dict[str, Any]:
        call, wait, _, count = self.subjects[arm][:4]
        assert call is not None
        before = {name: number() for name, number in count.items()}
        start = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        seconds = time.perf_counter() - start
        return {"seconds": seconds, **{name: number() - before[name] for name, number in count.items()}}


def _check(subject: Subject, expected: Path) -> None:
    """Raises unless the outputs are those in the file; the first to come, the base, writes it."""
    assert subject.outputs is not None
    outputs: dict[str, Any] = {name: np.asarray(value, np.float64) for name, value in subject.outputs().items()}
    for name, value in outputs.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} is not finite")
    if not expected.exists():
        np.savez(expected, **outputs)
        return
    with np.load(expected) as held:
        for name, value in outputs.items():
            error = difference(value, held[name])
            if not error <= subject.tolerance[name]:
                raise ValueError(f"{name} differs from the base's by {error:.1e}, more than {subject.tolerance[name]}")


def difference(value: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, over the largest element."""
    if value.shape != expected.shape:
        raise ValueError(f"the shape is {value.shape}, the base's {expected.shape}")
    return float(np.max(np.abs(value - expected)) / (np.max(np.abs(expected)) or 1))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def serve(requests: Iterable[str], answers: TextIO) -> None:
    worker = Worker()
    for line in requests:
        request = json.loads(line)
        try:
            # What is NaN or infinite is an error, not a figure.
            answer = json.dumps(getattr(worker, request.pop("do"))(**request), allow_nan=False)
        except Exception as error:  # an arm that fails is a line of the report, not the end of it
            answer = json.dumps({"error": f"{type(error).__name__}: {error}"[:500]})
        answers.write(answer + "\n")
        answers.flush()


def until_the_parent_ends(requests: TextIO) -> Iterator[str]:
    """The requests; the parent alone holds their pipe's other end: when it closes, this process ends at once."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in requests:
            waiting.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed joins stderr, which the parent keeps in a file
    serve(until_the_parent_ends(sys.stdin), answers)
