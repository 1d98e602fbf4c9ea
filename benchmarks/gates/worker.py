"""One fresh process: every arm at one K, timed block by block in random order."""

from __future__ import annotations

import os
import time
from typing import Any


def measure(k: int, arms: list[str], blocks: int, batch: int, compiled: bool, seed: int, results: Any) -> None:
    """Puts into the queue `results` what is ready: ("built", arm, seconds), ("time", arm, block, seconds a step)."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    silence()
    import numpy as np

    from benchmarks.gates.arms import step

    steps, lengths = {}, {}
    for arm in arms:
        start = time.perf_counter()
        try:
            steps[arm] = step(arm, k, batch, compiled)
            for _ in range(3):
                steps[arm]()
        except Exception as error:  # one arm that fails is a line of the report, not the end of it
            steps.pop(arm, None)
            results.put(("failed", arm, f"{type(error).__name__}: {error}"[:500]))
            continue
        results.put(("built", arm, time.perf_counter() - start))
        start = time.perf_counter()
        for _ in range(5):
            steps[arm]()
        lengths[arm] = max(3, round(0.05 * 5 / (time.perf_counter() - start)))  # a block takes 50 ms
    random = np.random.default_rng(seed)
    for block in range(blocks):
        for arm in random.permutation(list(steps)):
            steps[arm]()
            start = time.perf_counter()
            for _ in range(lengths[arm]):
                steps[arm]()
            results.put(("time", str(arm), block, (time.perf_counter() - start) / lengths[arm]))
    results.put(("done", "", 0))


def silence() -> None:
    """TensorFlow writes notes to the file descriptor of stderr as it starts, whatever it is told."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
