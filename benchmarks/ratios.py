"""Ratios of times that were measured side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats


class Ratio(NamedTuple):
    """The median of paired ratios, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def paired(times: np.ndarray, base: np.ndarray, seed: int = 0) -> Ratio:
    """The ratio `times` / `base`, measured in the same blocks, `[blocks]` each."""
    ratios = np.asarray(times, float) / np.asarray(base, float)
    if len(ratios) < 2 or np.ptp(ratios) == 0:
        return Ratio(*[float(np.median(ratios))] * 3)
    random = np.random.default_rng(seed)
    found = stats.bootstrap((ratios,), np.median, n_resamples=2000, method="percentile", rng=random)
    return Ratio(float(np.median(ratios)), *map(float, found.confidence_interval))
