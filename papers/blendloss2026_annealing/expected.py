"""The study's own hypotheses, stated before the runs; and the published means that the candidates should explain.

Changes are differences of the logarithms of the errors, paired by network, since a network has the same first weights
and, but without XLA and with fixed points, the same points in every candidate. Intervals are Student's, of 99 %.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from papers._claim import Claim, Missing, Ours, Runs, holds
from papers._paper import load
from papers._record import committed, runs_of
from papers.blendloss2026_annealing.candidates import BASELINE, CANDIDATES, EQUAL, PAPER, SCRIPT

HYPOTHESIS = "hypothesis of this study (stated before the runs)"
LEVEL = 0.99
#: The trials of the published table.
TRIALS = 10
SAME, LOWER, HIGHER = "makes no difference", "lowers the error", "raises the error"
EXPECTED = {
    SCRIPT: SAME,
    PAPER: LOWER,
    "one more layer": LOWER,
    "no own weight": LOWER,
    "0.9 on the new": SAME,
    "biases count": SAME,
    "one mean": SAME,
    "lambda after the step": SAME,
    "lambda in each step": SAME,
    "measured scale": SAME,
    "fixed points": HIGHER,
    "truncated normal": SAME,
    "epsilon 1e-7": SAME,
    "float64": SAME,
    "without XLA": SAME,
    "other points": SAME,
}


class Published(NamedTuple):
    """Mean and standard deviation of ten trials of annealing in the paper's table 3."""

    mean: float
    deviation: float


PUBLISHED = {"3x30": Published(0.0431, 0.0168), "3x50": Published(0.0144, 0.00637)}


class Change(NamedTuple):
    """A mean difference of logarithms, with its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        mean, low, high = (100 * math.expm1(one) for one in self)
        return f"{mean:+.0f} % ({low:+.0f} to {high:+.0f})"

    @property
    def kind(self) -> str:
        """What the interval says."""
        return LOWER if self.high < 0 else HIGHER if self.low > 0 else SAME


def errors(runs: Runs, size: str, name: str) -> np.ndarray:
    """Of every network; of the single ones of wang2021_pinn where the baseline was not run with stacked ones."""
    arm = f"{size} {name}"
    if name == BASELINE and arm not in runs.arms:
        return singles().numbers(f"{size} annealing", "error")
    return np.concatenate([result["errors"] for result in runs.of(arm)])


def last_weight(runs: Runs, size: str, name: str) -> float:
    """The mean of lambda over the networks and the last full record."""
    arm = f"{size} {name}"
    if name == BASELINE and arm not in runs.arms:
        rows = [result["weights"][-2] for result in singles().of(f"{size} annealing")]
        return float(np.mean([boundary / residual for residual, boundary in rows]))
    return float(np.mean([result["lambda"][-2] for result in runs.of(arm)]))


def singles() -> Runs:
    """The committed runs of wang2021_pinn."""
    return runs_of(committed(load("wang2021_pinn")) or {"runs": []})


def change_of(differences: np.ndarray) -> Change:
    """The mean over networks with its interval; the mean itself where there is one."""
    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return Change(mean, mean, mean)
    half = student.ppf((1 + LEVEL) / 2, n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    return Change(mean, mean - half, mean + half)


def change(runs: Runs, size: str, name: str) -> Change:
    """Of the candidate against the baseline."""
    logs = [np.log(errors(runs, size, one)) for one in (name, BASELINE)]
    n = min(map(len, logs))
    return change_of(logs[0][:n] - logs[1][:n])


def reaches(runs: Runs, size: str, name: str) -> bool:
    """Whether the mean is within two standard errors, of both means together, of the published one.

    And within two of the published standard deviations: a network that is lost would make any mean near enough.
    """
    ours = errors(runs, size, name)
    published = PUBLISHED[size]
    error = math.sqrt(ours.var(ddof=1) / len(ours) + published.deviation**2 / TRIALS)
    return abs(ours.mean() - published.mean) <= 2 * min(error, published.deviation)


def _judged(size: str, name: str, runs: Runs) -> Ours:
    found = change(runs, size, name)
    return holds(found.kind == EXPECTED[name], str(found))


def _as_before(size: str, runs: Runs) -> Ours:
    """The stacked networks against the single ones of wang2021_pinn: the same draws, other rounding."""
    runs.of(f"{size} {BASELINE}")  # raises Missing
    ours, earlier = errors(runs, size, BASELINE), singles().numbers(f"{size} annealing", "error")
    found = change_of(np.log(ours[: len(earlier)]) - np.log(earlier[: len(ours)]))
    return holds(found.kind == SAME, f"{found}; means {ours.mean():.3g} and {earlier.mean():.3g}")


def _explained(size: str, runs: Runs) -> Ours:
    there = [name for name in CANDIDATES if f"{size} {name}" in runs.arms and name not in (BASELINE, EQUAL)]
    if not there:
        raise Missing(size)
    reached = [name for name in there if reaches(runs, size, name)]
    seen = f"of {len(there)} run: {', '.join(reached) or 'none'}"
    return holds(bool(reached) and not reaches(runs, size, BASELINE), seen)


CLAIMS = tuple(
    claim
    for size in PUBLISHED
    for claim in (
        Claim(
            f"{size}, {BASELINE}",
            "the stacked networks end where the single ones of wang2021_pinn do",
            HYPOTHESIS,
            partial(_as_before, size),
        ),
        *(
            Claim(f"{size}, {name}", expected, HYPOTHESIS, partial(_judged, size, name))
            for name, expected in EXPECTED.items()
        ),
        Claim(
            f"{size}, explained",
            f"the published mean, {PUBLISHED[size].mean:g}, is within two standard errors of some candidate's mean, "
            "and not of the baseline's",
            HYPOTHESIS,
            partial(_explained, size),
        ),
    )
)
