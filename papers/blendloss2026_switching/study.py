"""What the errors say: ranks, and regrets to the best single loss, with bootstrap intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap, rankdata

from papers._claim import Runs

LEVEL = 0.99


class Study(NamedTuple):
    """Logarithms of errors `[arms, cells, seeds]`; a cell is a problem with a law, or with a table's error."""

    arms: list[str]
    cells: list[tuple[str, str]]
    logs: np.ndarray

    def of(self, arm: str) -> np.ndarray:
        """`[cells, seeds]`."""
        return self.logs[self.arms.index(arm)]

    @property
    def singles(self) -> list[str]:
        """The arms that are a single loss."""
        return [arm for arm in self.arms if arm.endswith(" alone")]

    @property
    def switching(self) -> list[str]:
        """The arms that are no single loss."""
        return [arm for arm in self.arms if arm not in self.singles]

    @property
    def best_singles(self) -> list[str]:
        """The single loss of each cell that has the lowest mean logarithm: known only in hindsight."""
        best = np.argmin([self.of(arm).mean(-1) for arm in self.singles], axis=0)
        return [self.singles[k] for k in best]

    def regret(self, arm: str) -> np.ndarray:
        """log(error / error of the cell's best single loss), `[cells, seeds]`: paired, as a seed's data are shared."""
        best = [self.of(single)[cell] for cell, single in enumerate(self.best_singles)]
        return self.of(arm) - np.array(best)

    def ranks(self, cells: Sequence[int]) -> np.ndarray:
        """Each arm's mean rank over these cells, `[arms, seeds]`; 1 is the lowest error. A table counts twice."""
        return rankdata(self.logs[:, cells], axis=0).mean(1)

    def where(self, laws: Sequence[str] = (), problem: str = "") -> list[int]:
        """The cells of these laws, or of all, in problems whose name has `problem` in it."""
        return [k for k, (name, law) in enumerate(self.cells) if problem in name and (law in laws or not laws)]


def study(runs: Runs, arms: Sequence[str]) -> Study:
    """The seeds that all `arms` have."""
    seeds = sorted(set.intersection(*(set(runs.seeds(arm)) for arm in arms)))
    found = {arm: dict(zip(runs.seeds(arm), runs.of(arm), strict=True)) for arm in arms}
    errors = found[arms[0]][seeds[0]]["errors"]
    cells = [(problem, law) for problem, laws in errors.items() for law in laws]
    table = [[[found[arm][seed]["errors"][name][law] for seed in seeds] for name, law in cells] for arm in arms]
    return Study(list(arms), cells, np.log(np.array(table, float)))


def interval(values: np.ndarray) -> tuple[Any, Any]:
    """Of the mean over the last axis, the seeds; the mean itself where there is one seed."""
    if values.shape[-1] < 2:
        return values.mean(-1), values.mean(-1)
    kept = bootstrap(
        (values,),
        np.mean,
        axis=-1,
        confidence_level=LEVEL,
        n_resamples=2000,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return kept.low, kept.high


def percent(log_ratio: Any) -> Any:
    """By how many per cent an error is the larger."""
    return 100 * np.expm1(log_ratio)
