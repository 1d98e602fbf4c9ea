"""The speed of memory: a copy of arrays that no cache holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Quantity, Subject

COPY = "copy"
#: Bytes of the shortest array that is copied.
SMALLEST = 1 << 28


def _bytes_a_second(facts: Mapping[str, Any], seconds: float) -> float:
    return facts["bytes"] / seconds


GIGABYTES = Quantity("GB/s", lambda facts, seconds: _bytes_a_second(facts, seconds) / 1e9, "{:.1f}")
SHARE = Quantity("share of the copy's bandwidth", _bytes_a_second, "{:.0%}", beside=COPY)


def size() -> int:
    """The bytes of an array that is at least four times the last-level cache."""
    caches = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    found = [int(path.read_text().strip().removesuffix("K")) << 10 for path in caches]
    return max(SMALLEST, 4 * max(found, default=0))


def copy(device: str) -> Subject:
    """A copy on the device; its "bytes" are each counted once read and once written.

    Long copies write past the cache (`memcpy`, and GPUs), so that no write-allocate, a third transfer, occurs.
    """
    return {"cpu": _on_host, "gpu": _on_gpu}[device]()


def _on_host() -> Subject:
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    source, target = (np.full(size() // 8, number, np.float64) for number in (1.0, 0.0))
    pieces = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    pool = ThreadPoolExecutor(threads)
    return Subject(
        call=lambda: list(pool.map(lambda piece: np.copyto(*piece), pieces)), facts={"bytes": 2 * source.nbytes}
    )


def _on_gpu() -> Subject:
    import tensorflow as tf

    source = tf.zeros([size() // 4], tf.float32)
    negated: Any = tf.function(lambda array: -array, jit_compile=True)
    return Subject(
        call=lambda: negated(source), wait=tf.test.experimental.sync_devices, facts={"bytes": 2 * 4 * source.shape[0]}
    )
