"""How the time of a step grows with the number of workers: a model of what was measured, and where it leads.

A step of W workers takes

    t(W) = max(1, W / cores) t(1) + a(W) collectives + b(W) bytes.

The first term is the time of one worker, which W processes on fewer cores share. a and b, not negative, are fitted to
the arms that train a network. A ring of W workers passes each number on 2 (W - 1) times, W parts at a time, so that

    a(W) = 2 (W - 1) hop,    b(W) = 2 (W - 1) / W / bandwidth.

This gives the time of a hop on this machine, most of which is the program's own. On a link with another latency and
bandwidth, between machines that each have their own cores, the model then says what a step would take. That was not
measured.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

#: Workers for which the model is extrapolated.
BEYOND = (8, 64, 1024)


class Link(NamedTuple):
    """A network: the seconds until a message arrives, and its bytes a second."""

    name: str
    latency: float
    bandwidth: float


LINKS = (
    Link("1 Gbit/s Ethernet", 100e-6, 125e6),
    Link("10 Gbit/s Ethernet", 30e-6, 1.25e9),
    Link("100 Gbit/s", 5e-6, 12.5e9),
)


class Step(NamedTuple):
    """A step of an arm: the seconds it takes, and what it exchanges."""

    arm: str
    workers: int
    size: tuple[Any, ...]
    seconds: float
    collectives: float
    bytes: float


class Costs(NamedTuple):
    """The fitted seconds of a collective and of a byte."""

    of_collective: float
    of_byte: float


def alone(elements: int) -> str:
    """The name of the arm that makes nothing but one collective."""
    return f"all-reduce of {elements} numbers"


def elements(arm: str) -> int | None:
    """How many elements the collective of this arm has; None of an arm that trains a network."""
    found = re.fullmatch(r"all-reduce of (\d+) numbers", arm)
    return int(found[1]) if found else None


def fit(steps: list[Step], alone: dict[tuple[str, tuple[Any, ...]], float], cores: int) -> Costs:
    """a and b of one number of workers, by non-negative least squares of relative errors."""
    from scipy.optimize import nnls

    rows = np.array([[step.collectives, step.bytes] for step in steps], float)
    shared = [max(1.0, step.workers / cores) * alone[step.arm, step.size] for step in steps]
    seconds = np.array([step.seconds for step in steps])
    scale = np.maximum(rows.max(axis=0), 1.0)
    found, _ = nnls(rows / scale / seconds[:, np.newaxis], np.maximum(seconds - shared, 0.0) / seconds)
    return Costs(*(found / scale))


def predict(step: Step, of_one: float, costs: Costs, cores: int) -> float:
    """The seconds of a step by the model."""
    shared = max(1.0, step.workers / cores) * of_one
    return shared + costs.of_collective * step.collectives + costs.of_byte * step.bytes


def on_link(of_one: float, collectives: float, bytes_: float, workers: int, hop: float, link: Link) -> float:
    """The seconds of a step of so many workers, each with its own cores, on a link."""
    hops = 2 * (workers - 1)
    return of_one + hops * (hop + link.latency) * collectives + hops / workers * bytes_ / link.bandwidth


def conclusions(results: Any) -> Iterator[str]:
    """The lines of the report: the model, how well it fits, and the extrapolation."""
    steps = list(_steps(results))
    of_one = {(step.arm, step.size): step.seconds for step in steps if step.workers == 1}
    several = [step for step in steps if step.workers > 1 and (step.arm, step.size) in of_one]
    if not several:
        return
    shared = cores()
    numbers = sorted({step.workers for step in several})
    costs = {number: fit([step for step in several if step.workers == number], of_one, shared) for number in numbers}
    yield from ("## The model", "", *_costs(costs, several, of_one, shared), "")
    hop = float(np.mean([cost.of_collective / (2 * (number - 1)) for number, cost in costs.items()]))
    yield from (
        f"## Extrapolated, not measured: {_listed(BEYOND)} workers",
        "",
        f"Each worker has cores of its own, and a hop takes {1e6 * hop:.0f} us beside the link's latency. Milliseconds "
        "of a step; in brackets, over the plain sum's on the same link.",
        "",
        *_extrapolated(several, of_one, hop),
        "",
    )


def _steps(results: Any) -> Iterator[Step]:
    for (case, arm), times in results.times.items():
        facts = results.facts[case, arm]
        if elements(arm) is None and not arm.endswith(" (A/A)"):
            named = dict(case)
            size = tuple(value for name, value in case if name != "workers")
            seconds = float(np.median(list(times.values()))) / facts["steps"]
            yield Step(arm, named["workers"], size, seconds, facts["collectives"], facts["bytes"])


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _costs(costs: dict[int, Costs], several: list[Step], of_one: Any, cores: int) -> Iterable[str]:
    yield f"t(W) = max(1, W / {cores}) t(1) + a collectives + b bytes, fitted to {len(several)} steps."
    yield ""
    yield "| W | a, us a collective | b, ns a byte | error of the model: median | largest |"
    yield "|---|---|---|---|---|"
    for number, cost in costs.items():
        errors = [
            abs(predict(step, of_one[step.arm, step.size], cost, cores) / step.seconds - 1)
            for step in several
            if step.workers == number
        ]
        a, b = 1e6 * cost.of_collective, 1e9 * cost.of_byte
        yield f"| {number} | {a:.3g} | {b:.3g} | {np.median(errors):.0%} | {max(errors):.0%} |"


def _extrapolated(several: list[Step], of_one: Any, hop: float) -> Iterable[str]:
    from benchmarks.gates import PLAIN

    columns = [(link, number) for link in LINKS for number in BEYOND]
    yield "| | " + " | ".join(f"{link.name}, {number}" for link, number in columns) + " |"
    yield "|---|" + "---|" * len(columns)
    largest = max(step.size for step in several)
    chosen = {step.arm: step for step in several if step.size == largest}

    def seconds(arm: str, link: Link, number: int) -> float:
        step = chosen[arm]
        return on_link(of_one[arm, largest], step.collectives, step.bytes, number, hop, link)

    for arm in chosen:
        cells = [
            f"{1e3 * seconds(arm, link, number):.3g} ({seconds(arm, link, number) / seconds(PLAIN, link, number):.2f})"
            for link, number in columns
        ]
        yield f"| {arm} | " + " | ".join(cells) + " |"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
