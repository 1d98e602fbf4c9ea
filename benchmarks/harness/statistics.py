"""Ratios of times that were measured side by side, and when one may be believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 2000


class Ratio(NamedTuple):
    """The median of paired ratios, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def differs(self, noise: Ratio | None) -> bool:
        """Whether this is more than `noise`, the ratio of the base to itself: the intervals have no point in common.

        The noise's interval is widened to hold 1, which is what it is of. Without noise there is nothing to claim.
        """
        return noise is not None and (self.low > max(noise.high, 1) or self.high < min(noise.low, 1))


def paired(times: np.ndarray, base: np.ndarray, seed: int = 0) -> Ratio:
    """The ratio `times` / `base`, measured in the same blocks, `[blocks]` each."""
    ratios = np.asarray(times, float) / np.asarray(base, float)
    if len(ratios) < 2 or np.ptp(ratios) == 0:
        return Ratio(*[float(np.median(ratios))] * 3)
    found = stats.bootstrap(
        (ratios,), np.median, n_resamples=RESAMPLES, method="percentile", random_state=np.random.default_rng(seed)
    )
    return Ratio(float(np.median(ratios)), *map(float, found.confidence_interval))


class Spread(NamedTuple):
    """The least of some times, and their quantiles."""

    least: float
    p20: float
    p50: float
    p80: float


def spread(times: np.ndarray) -> Spread:
    return Spread(float(np.min(times)), *map(float, np.quantile(times, [0.2, 0.5, 0.8])))
