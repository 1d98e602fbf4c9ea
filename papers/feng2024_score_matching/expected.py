"""What was published of the best convex loss at Cauchy noise, and its closed form.

For p = 1 / (pi (1 + r^2)) the score 2 r / (1 + r^2) rises up to r = 1. The best convex slope is the score up to r0 and
the mean of the score beyond r0 from there on, p(r0) / (1 - F(r0)). Both agree at r0: 2 r0 (pi / 2 - arctan r0) = 1.
With r = tan a the score is sin 2a and 2a / pi is uniform, so that E psi*^2 = (2 / pi) (a0 / 2 - sin(4 a0) / 8) +
(1 - 2 a0 / pi) sin(2 a0)^2, of a Fisher information of 1/2.
"""

from __future__ import annotations

import math
from functools import partial

from papers._claim import Claim, Ours, Runs, holds, number

FENG = "Feng, Kao, Xu and Samworth, arXiv 2403.16688, abstract"
SUMMARY = "summary of arXiv 2403.16688 on sciencestack.ai (ARE* near 0.88); the article itself was not at hand"
DERIVED = "closed form (expected.py)"
CAUCHY = "t(1)"


def cauchy_threshold() -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        r = (low + high) / 2
        low, high = (r, high) if 2 * r * (math.pi / 2 - math.atan(r)) < 1 else (low, r)
    return low


def cauchy_efficiency() -> float:
    a = math.atan(cauchy_threshold())
    return 2 * ((a / 2 - math.sin(4 * a) / 8) * 2 / math.pi + (1 - 2 * a / math.pi) * math.sin(2 * a) ** 2)


def _cauchy(runs: Runs, key: str) -> Ours:
    [result] = runs.of("efficiencies")[:1]
    return number(result[key][result["law"].index(CAUCHY)])


def _above(runs: Runs) -> Ours:
    [found] = _cauchy(runs, "best convex").values
    return holds(found > 0.87, f"{found:.4f}")


def _huber_like(runs: Runs) -> Ours:
    """Whether the slope is the score up to a threshold, and constant beyond."""
    [result] = runs.of("efficiencies")[:1]
    off, scale = result["cauchy"]["off the score before"], _cauchy(runs, "threshold").values[0]
    return holds(off < 1e-9, f"the score up to r = {scale:.4f}, constant beyond; {off:.1e} off")


QUADRATURE = "the midpoint rule of 8000 cells in log r"
CLAIMS = (
    Claim("Cauchy noise", "the best convex loss has an efficiency above 0.87", FENG, _above),
    Claim(
        "Cauchy noise, the number",
        0.88,
        SUMMARY,
        lambda runs: _cauchy(runs, "best convex"),
        digits=0.005,
        tolerance=0.005,
        why="its digits",
    ),
    Claim("Cauchy noise, the loss", "the best convex loss is Huber-like", FENG, _huber_like),
    *(
        Claim(
            f"Cauchy noise, {what}",
            value,
            DERIVED,
            partial(_cauchy, key=key),
            digits=digits,
            tolerance=1e-3,
            why=QUADRATURE,
        )
        for what, key, value, digits in (
            ("the efficiency", "best convex", cauchy_efficiency(), 1e-5),
            ("the efficiency by the concave majorant", "best convex, by the majorant", cauchy_efficiency(), 1e-5),
            ("the threshold", "threshold", cauchy_threshold(), 1e-3),
        )
    ),
)
