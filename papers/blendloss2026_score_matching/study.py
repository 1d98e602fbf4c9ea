"""Regrets to the best single loss, chosen in hindsight or on other seeds, and which cells are of which kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from papers._claim import Runs
from papers.blendloss2026_score_matching.config import MATCHING, PAPER, SINGLES
from papers.blendloss2026_switching.study import Study, interval, percent, study

MAIN = MATCHING[0]


def found_in(runs: Runs, *arms: str) -> Study:
    """The single losses and `arms` on the seeds that they share; raises Missing where one has not been run."""
    chosen = [*SINGLES, *arms]
    for arm in chosen:
        runs.of(arm)
    return study(runs, chosen)


def of_switching(found: Study) -> list[int]:
    """The 38 cells of the switching study."""
    sizes = [f"n={n} d={features}" for n, features in PAPER.synthetic]
    return [
        k for k, (name, law) in enumerate(found.cells) if (name in sizes and law in PAPER.laws) or name in PAPER.tables
    ]


def skewed(found: Study) -> list[int]:
    """Where the noise is not symmetric, so that the losses estimate different things."""
    return found.where(PAPER.skewed_laws)


def symmetric(found: Study) -> list[int]:
    """All others, the tables among them."""
    return [k for k in found.where() if k not in skewed(found)]


def large(found: Study) -> list[int]:
    """Of the others, those with 1000 examples or more to train on."""
    sizes = [size for size in {*PAPER.synthetic, *PAPER.more_sizes, *PAPER.deep} if size[0] >= 1000]
    names = {f"n={n} d={features}" for n, features in sizes} | {"flights", "RAND"}
    return [k for k in symmetric(found) if found.cells[k][0].removesuffix(" deep") in names]


def overfitted(found: Study) -> list[int]:
    """Of the others, those with ten features and 50 or 100 examples."""
    return [k for k in symmetric(found) if found.cells[k][0].startswith(("n=50 d=10", "n=100 d=10"))]


def fair_regret(found: Study, arm: str, choices: Sequence[str] = SINGLES) -> np.ndarray:
    """log(error / error of the loss of `choices` that was the best in the cell on the other half of the seeds).

    `[cells, seeds]`: seeds of even place choose for those of odd place, and the other way round.
    """
    errors = np.array([found.of(one) for one in choices])
    chosen = np.empty_like(errors[0])
    for half in (0, 1):
        best = errors[:, :, 1 - half :: 2].mean(-1).argmin(0)
        chosen[:, half::2] = errors[best, np.arange(len(best)), half::2]
    return found.of(arm) - chosen


def least_regret(found: Study, arms: Sequence[str], cells: list[int]) -> str:
    """The arm of the least mean regret over `cells`."""
    return min(arms, key=lambda arm: found.of(arm)[cells].mean())


def signed(log_ratios: np.ndarray) -> str:
    """The mean over seeds with its interval, in per cent."""
    low, high = interval(log_ratios)
    return f"{percent(log_ratios.mean()):+.1f} % ({percent(low):+.1f} to {percent(high):+.1f})"


def worst(found: Study, arm: str, cells: list[int], number: int = 3) -> str:
    """The cells of the largest mean regret."""
    means = percent(found.regret(arm).mean(-1))
    order = sorted(cells, key=lambda k: means[k], reverse=True)[:number]
    return "; ".join(f"{', '.join(found.cells[k])} {means[k]:+.1f} %" for k in order)
