"""Which losses belong in a set: the subsets of each size with the highest mean efficiency over the laws."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from papers.feng2024_score_matching.laws import Law
from papers.feng2024_score_matching.program import moments, precision


class Efficiencies:
    """The efficiencies of sets of losses out of `pool`, at each of `laws`."""

    def __init__(self, laws: Sequence[Law], pool: Sequence[str]) -> None:
        self.pool = list(pool)
        self._moments = [(*moments(one, pool), one.information) for one in laws]

    def of(self, names: Sequence[str]) -> np.ndarray:
        """`[laws]`."""
        at = [self.pool.index(name) for name in names]
        return np.array([precision(a[np.ix_(at, at)], b[at]) / bound for a, b, bound in self._moments])

    def greedy(self, most: int) -> list[str]:
        """The losses in the order in which each adds most to the mean log efficiency, `most` of them."""
        found: list[str] = []
        while len(found) < most:
            found.append(max(set(self.pool) - set(found), key=lambda name: (self._mean([*found, name]), name)))
        return found

    def best(self, first: str, size: int) -> list[str]:
        """The best set of `size` losses, one of which is `first`."""
        rest = [name for name in self.pool if name != first]
        return max(([first, *some] for some in combinations(rest, size - 1)), key=self._mean)

    def _mean(self, names: Sequence[str]) -> float:
        return float(np.log(self.of(names)).mean())
