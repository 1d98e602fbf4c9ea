"""Contaminated normal noise: a part of it is much wider."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Contaminated(NamedTuple):
    """Tukey's contaminated normal law: a standard normal law, with a `share` that is `width` times as wide."""

    share: float
    width: float

    def draw(self, random: np.random.Generator, n: int) -> np.ndarray:
        """`n` values."""
        return random.normal(size=n) * np.where(random.random(n) < self.share, self.width, 1.0)

    def log_density(self, r: np.ndarray) -> np.ndarray:
        """log p(r), in nats."""
        return np.logaddexp(*self._log_parts(r))

    def score(self, r: np.ndarray) -> np.ndarray:
        """-p'(r) / p(r)."""
        narrow, broad = (np.exp(part - self.log_density(r)) for part in self._log_parts(r))
        return np.asarray(r * (narrow + broad / self.width**2))

    def _log_parts(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The logarithms of the densities of both parts, times their shares."""
        with np.errstate(divide="ignore"):
            narrow, broad = np.log(1 - self.share), np.log(self.share)
        return narrow + normal_log_density(r), broad + normal_log_density(r, self.width)

    @property
    def variance(self) -> float:
        """1 - share + share width^2."""
        return 1 - self.share + self.share * self.width**2

    def mean(self, values: np.ndarray, r: np.ndarray) -> float:
        """The expectation of a function with `values` at `r`, the evenly spaced points of `grid`."""
        # The density is smooth and 0 at both ends, so the trapezoid rule is exact to rounding.
        return float(np.sum(np.exp(self.log_density(r)) * values) * (r[1] - r[0]))

    def grid(self) -> np.ndarray:
        """Points for `mean`: up to 15 standard deviations of the broad part, 40 points for one of the narrow part."""
        steps = math.ceil(40 * 15 * self.width)
        return np.linspace(-15 * self.width, 15 * self.width, 2 * steps + 1)

    def beyond(self, limit: float) -> float:
        """P(|r| > limit)."""
        return (1 - self.share) * math.erfc(limit / math.sqrt(2)) + self.share * math.erfc(
            limit / self.width / math.sqrt(2)
        )


def normal_log_density(r: np.ndarray, sd: float = 1.0) -> np.ndarray:
    """The logarithm of the density of the normal law with mean 0 and standard deviation `sd`."""
    return -0.5 * (r / sd) ** 2 - math.log(sd * math.sqrt(2 * math.pi))
