"""What is claimed: closed forms of the theory, which are its published content, and published tuning constants.

Huber's k for a share e of contamination solves 2 phi(k) / k - 2 Phi(-k) = e / (1 - e), and its worst variance is
1 / ((1 - e) (2 Phi(k) - 1)). Under the mixture (1 - e) N(0, 1) + e N(0, 9) the moments are E r^2 = 1 + 8 e,
E r^4 = 3 (1 + 80 e), E |r| = (1 + 2 e) sqrt(2 / pi), and the density at 0 is (1 - 2 e / 3) / sqrt(2 pi).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np

from papers._claim import Claim, Ours, Runs, holds, number
from papers.huber1964_location import menezes
from papers.huber1964_location.config import PAPER

HUBER = "closed form (expected.py): Huber, Ann. Math. Statist. 35 (1964), section 4, example (i)"
TUKEY = "closed form (expected.py): the mixtures of Tukey (1960)"
MENEZES = "Menezes et al. (2021), as in statsmodels 0.15.0, robust/tests/test_tools.py"
_PDF, _CDF = NormalDist().pdf, NormalDist().cdf


def minimax_k(share: float) -> float:
    low, high = 1e-6, 10.0
    for _ in range(100):
        k = (low + high) / 2
        low, high = (k, high) if 2 * _PDF(k) / k - 2 * _CDF(-k) > share / (1 - share) else (low, k)
    return low


def minimax_variance(share: float) -> float:
    return 1 / ((1 - share) * (2 * _CDF(minimax_k(share)) - 1)) if share else 1.0


def scale_efficiency(share: float) -> float:
    """Of the mean absolute deviation, relative to the standard deviation."""
    standard = (3 * (1 + 80 * share) / (1 + 8 * share) ** 2 - 1) / 4
    return standard / (math.pi / 2 * (1 + 8 * share) / (1 + 2 * share) ** 2 - 1)


def mean_variance(share: float) -> float:
    return 1 + 8 * share


def median_variance(share: float) -> float:
    return math.pi / 2 / (1 - 2 * share / 3) ** 2


def huber_variance(share: float, k: float = 1.345) -> float:
    square = inside = 0.0
    for part, width in ((1 - share, 1.0), (share, 3.0)):
        u = k / width
        within = 2 * _CDF(u) - 1
        square += part * (width**2 * (within - 2 * u * _PDF(u)) + 2 * k**2 * _CDF(-u))
        inside += part * within
    return square / inside**2


FORMULAS: dict[str, Callable[[float], float]] = {
    "SquaredError": mean_variance,
    "AbsoluteError": median_variance,
    "Huber": huber_variance,
}


def _at(arm: str, key: str, places: str, place: float, runs: Runs) -> Ours:
    return number(*(result[key][result[places].index(place)] for result in runs.of(arm)))


def _simulated(arm: str, share: float, runs: Runs) -> Ours:
    return number(*(result["simulated"]["200"][result["drawn"].index(share)] for result in runs.of(arm)))


def _penalties(runs: Runs) -> dict[str, dict[str, Any]]:
    """The first run of each penalty that was simulated."""
    return {arm: runs.of(arm)[0] for arm in runs.arms if "worst" in runs.of(arm)[0]}


def _formulas(runs: Runs) -> Ours:
    gaps = [
        abs(variance / formula(share) - 1)
        for arm, formula in FORMULAS.items()
        for share, variance in zip(*(runs.of(arm)[0][key] for key in ("share", "variance")), strict=True)
    ]
    return holds(max(gaps) < 1e-4, f"largest relative gap {max(gaps):.1e}")


def _theory(runs: Runs) -> Ours:
    """The largest gap of n Var at n = 200 from the asymptotic variance."""
    runs.of("Huber")
    gaps = {
        (arm, share): drawn / result["variance"][result["share"].index(share)] - 1
        for arm, result in _penalties(runs).items()
        for share, drawn in zip(result["drawn"], result["simulated"]["200"], strict=True)
    }
    arm, share = max(gaps, key=lambda case: abs(gaps[case]))
    seen = f"{len(gaps)} cases, largest gap {gaps[arm, share]:+.1%} ({arm}, {share:.0%})"
    return holds(abs(gaps[arm, share]) < 0.04, seen)


def _saddle(runs: Runs) -> Ours:
    runs.of("Huber")
    excess = {
        (arm, share): (math.inf if worst is None else worst) / minimax_variance(share) - 1
        for arm, result in _penalties(runs).items()
        for share, worst in zip(result["share"], result["worst"], strict=True)
        if share in PAPER.shares
    }
    arm, share = min(excess, key=lambda case: excess[case])
    return holds(excess[arm, share] > -1e-6, f"least excess {excess[arm, share]:.2%} ({arm}, {share:.0%})")


def _two_in_a_thousand(runs: Runs) -> Ours:
    one, two = (_at("scales", "formula", "share", share, runs).values[0] for share in (0.001, 0.002))
    return holds(one < 1 < two, f"{one:.3f} at .001, {two:.3f} at .002")


def _constant(name: str, runs: Runs) -> Ours:
    where = menezes.EFFICIENCIES.index(0.95)
    return number(*(result[name]["constants"][where] for result in runs.of("constants")))


def _efficiencies(runs: Runs) -> Ours:
    [found] = runs.of("constants")[:1]
    gaps = [np.abs(np.subtract(found[name]["efficiencies"], menezes.EFFICIENCIES)).max() for name in menezes.CONSTANTS]
    return holds(max(gaps) < 5e-4, f"largest gap {max(gaps):.1e}")


FLAT = "the worst variance is flat at its minimum: 1e-8 of it moves k by 1e-4"
QUADRATURE: dict[str, Any] = {"tolerance": 1e-3, "why": "a quadrature"}


def _relative(value: float, replications: str, size: int) -> dict[str, Any]:
    why = f"{replications} samples tell a variance to about 1 %; n = {size} is not infinite"
    return {"digits": 0.015 * value, "tolerance": 0.04 * value, "why": why}


CLAIMS = (
    *(
        Claim(
            f"minimax k at {e:g}",
            minimax_k(e),
            HUBER,
            partial(_at, "minimax", "k", "share", e),
            digits=1e-4,
            tolerance=1e-3,
            why=FLAT,
        )
        for e in PAPER.shares
    ),
    *(
        Claim(
            f"sup-variance at {e:g}",
            minimax_variance(e),
            HUBER,
            partial(_at, "minimax", "variance", "share", e),
            digits=1e-4,
            **QUADRATURE,
        )
        for e in PAPER.shares
    ),
    Claim("minimax", "no penalty has a smaller worst variance than Huber's at its k", HUBER, _saddle),
    *(
        Claim(
            f"efficiency of the mean absolute deviation at {e:g}",
            scale_efficiency(e),
            TUKEY,
            partial(_at, "scales", "formula", "share", e),
            digits=1e-4,
            **QUADRATURE,
        )
        for e in PAPER.scales
    ),
    *(
        Claim(
            f"the same by Monte Carlo at {e:g}",
            scale_efficiency(e),
            TUKEY,
            partial(_at, "scales", "simulated", "share", e),
            **_relative(scale_efficiency(e), "20 000", PAPER.scale_size),
        )
        for e in (0.0, 0.01, 0.05)
    ),
    Claim(
        "two outliers in a thousand",
        "at .002 the mean absolute deviation is the better estimate of scale, at .001 the standard deviation is",
        TUKEY,
        _two_in_a_thousand,
    ),
    Claim("variances by formula", "of mean, median and Huber 1.345, at 31 contaminations", TUKEY, _formulas),
    *(
        Claim(
            f"n Var of {arm} at {e:g}, Monte Carlo, n = 200",
            formula(e),
            TUKEY,
            partial(_simulated, arm, e),
            **_relative(formula(e), "50 000", 200),
        )
        for arm, formula in FORMULAS.items()
        for e in PAPER.drawn
    ),
    Claim(
        "asymptotics",
        "n Var at n = 200 is within 4 % of E psi^2 / (E psi')^2, for every penalty",
        "the theory's formula; the bound is ours",
        _theory,
    ),
    *(
        Claim(
            f"95 % constant of {name}",
            constants[1],
            MENEZES,
            partial(_constant, name),
            digits=5e-4 if name in ("Huber", "Andrews") else 5e-5,
            tolerance=5e-4,
            why="the tolerance of statsmodels's test",
        )
        for name, constants in menezes.CONSTANTS.items()
    ),
    Claim("all 28 constants", "efficiencies .9, .95, .98 and .99 within 5e-4", MENEZES, _efficiencies),
)
