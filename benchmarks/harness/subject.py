"""What a benchmark builds for an arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


def nothing() -> None:
    pass


class Subject(NamedTuple):
    """What is timed, and what is known of it.

    Attributes:
        call: does the work once; None where the facts are all there is.
        wait: returns when the device has done what was called.
        facts: numbers that need no timing, such as "bytes".
        counts: by name, a number that grows with calls, such as that of traces.
        outputs: arrays by name, compared with those of the benchmark's base before anything is timed.
        tolerance: by name, the largest difference from the base's, relative to the largest element.
        save: writes files into the folder of the run.
    """

    call: Callable[[], Any] | None = None
    wait: Callable[[], Any] = nothing
    facts: Mapping[str, Any] = {}
    counts: Mapping[str, Callable[[], int]] = {}
    outputs: Callable[[], Mapping[str, Any]] | None = None
    tolerance: Mapping[str, float] = {}
    save: Callable[[Path], Any] | None = None
