"""A benchmark without TensorFlow: arms that sleep, count, differ, raise, print, hang or die."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject

BENCHMARK = Benchmark(
    name="fake",
    about="arms that sleep",
    axes=(Axis("size", (1, 2, 4), "how long", quick=(1, 2)), Axis("kind", ("a",), "of nothing", choices=("a", "b"))),
    base="short",
    quantities=(
        Quantity("units/s", lambda facts, seconds: facts["units"] / seconds),
        Quantity("share", lambda facts, seconds: facts["units"] / seconds, "{:.0%}", beside="roof"),
        Quantity("calls counted", lambda facts, seconds: facts["counted"], "{:.0f}"),
    ),
    plots=(Plot("units/s", "size", roof="roof"),),
    parts=(Part("tests.benchmarks.fake"),),
    blocks=5,
)


def device() -> str:
    return "a clock"


def arms(case: dict[str, Any]) -> list[str]:
    return ["roof", "short", "long", *FAILING]


FAILING = ("raises as it is built", "raises as it runs", "differs", "gives NaN", "has a NaN fact", "dies", "hangs")


def _sleeps(milliseconds: float) -> Any:
    return lambda: time.sleep(milliseconds / 1000)


def _raises_later() -> Any:
    calls = iter(range(5))  # three to warm up

    def call() -> None:
        if next(calls, None) is None:
            raise ValueError("tired")

    return call


def _raises() -> Any:
    raise ValueError("not today")


def build(case: dict[str, Any], arm: str) -> Subject:
    print("noise on stdout")
    print("noise on stderr", file=sys.stderr)
    size = case["size"]
    calls = {
        "roof": lambda: _sleeps(size / 2),
        "short": lambda: _sleeps(size),
        "long": lambda: _sleeps(3 * size),
        **dict.fromkeys(("differs", "gives NaN", "has a NaN fact"), lambda: _sleeps(1)),
        "raises as it is built": _raises,
        "raises as it runs": _raises_later,
        "dies": lambda: os._exit(3),
        "hangs": lambda: time.sleep(60),
    }
    call = calls[arm]()
    counted: list[None] = []

    def counting() -> None:
        counted.append(None)
        call()

    return Subject(
        counting,
        facts={"units": float("nan") if arm == "has a NaN fact" else size},
        counts={"counted": lambda: len(counted)},
        outputs=lambda: {"result": [1.0, float("nan") if arm == "gives NaN" else 2.0 + (arm == "differs")]},
        tolerance={"result": 1e-6},
    )
