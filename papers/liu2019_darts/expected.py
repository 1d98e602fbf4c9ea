"""What the paper says of the toy, and what follows from its formulas.

The fixed point: w = alpha, and alpha - 2 + 2 xi alpha = 0, so that alpha = w = 2 / (1 + 2 xi).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from papers._claim import Claim, Ours, Runs, holds, number

FIGURE = "Liu, Simonyan and Yang (ICLR 2019, arXiv 1806.09055), figure 2"
DERIVED = "closed form of the paper's toy (expected.py)"
EXACT: dict[str, Any] = {"digits": 1e-6, "tolerance": 1e-4, "why": "a fixed point, reached geometrically in float64"}


def _alpha(xi: float, runs: Runs) -> Ours:
    return number(*runs.numbers(f"xi = {xi:g}", "alpha"))


def _optimum(runs: Runs) -> Ours:
    [end] = runs.of("xi = 0.5")
    return holds(abs(end["alpha"] - 1) < 1e-6 and abs(end["w"] - 1) < 1e-6, f"({end['alpha']:.6f}, {end['w']:.6f})")


def _better(runs: Runs) -> Ours:
    ends = {xi: runs.of(f"xi = {xi:g}")[0]["validation loss"] for xi in (0.0, 0.1, 0.2, 0.5)}
    falls = all(a > b for a, b in zip(list(ends.values()), list(ends.values())[1:], strict=False))
    return holds(falls, ", ".join(f"{loss:.3f} at xi = {xi:g}" for xi, loss in ends.items()))


CLAIMS = (
    Claim("the bilevel optimum", "(alpha, w) = (1, 1), reached with a suitable xi", FIGURE, _optimum),
    Claim("xi > 0 helps", "a suitable xi converges to a better local optimum", FIGURE, _better),
    *(
        Claim(f"alpha at xi = {xi:g}", 2 / (1 + 2 * xi), DERIVED, partial(_alpha, xi), **EXACT)
        for xi in (0.0, 0.1, 0.2, 0.5)
    ),
)
