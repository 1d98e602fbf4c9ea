"""What the paper's tables say: relative errors in L2 after 40,000 iterations."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from papers._claim import Claim, Ours, Runs, holds, number

SIAM = "Wang, Teng and Perdikaris (SIAM J. Sci. Comput. 43(5), 2021), table 3, mean of ten trials, read in a copy"
ARXIV = "the same, arXiv 2001.04536 v1, table 2, one run, read in two copies"
WHY = "twice the published standard deviation; one of them is reproduced"
WHY_ONE = "a single run: twice the standard deviation of table 3; one of them is reproduced"


class Row(NamedTuple):
    """Mean and standard deviation of table 3, and the single run of version 1."""

    mean: float
    deviation: float
    single: float


ROWS = {
    "3x50 equal": Row(0.194, 0.0391, 0.106),
    "3x50 annealing": Row(0.0144, 0.00637, 0.0112),
    "3x30 equal": Row(0.436, 0.157, 0.244),
    "3x30 annealing": Row(0.0431, 0.0168, 0.0539),
}


def _error(arm: str, runs: Runs) -> Ours:
    return number(*runs.numbers(arm, "error"))


def _ratio(size: str, least: float, runs: Runs) -> Ours:
    equal, annealing = (runs.numbers(f"{size} {method}", "error").mean() for method in ("equal", "annealing"))
    return holds(equal / annealing > least, f"{equal / annealing:.1f} times")


def _claims(arm: str, row: Row) -> tuple[Claim, Claim]:
    near = {"digits": row.deviation, "tolerance": 2 * row.deviation}
    measure = partial(_error, arm)
    return (
        Claim(f"error, {arm}", row.mean, SIAM, measure, **near, why=WHY),
        Claim(f"error, {arm}, version 1", row.single, ARXIV, measure, **near, why=WHY_ONE),
    )


def _gain(size: str, least: float) -> Claim:
    published = ROWS[f"{size} equal"].mean / ROWS[f"{size} annealing"].mean
    claim = f"{published:.1f} times smaller by the means; reproduced above {least:g}"
    return Claim(f"annealing's error, {size}", claim, SIAM, partial(_ratio, size, least))


CLAIMS = (_gain("3x50", 5), *(claim for arm, row in ROWS.items() for claim in _claims(arm, row)))
