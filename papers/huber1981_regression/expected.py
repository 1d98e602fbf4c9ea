"""What was published of these fits: by R and SAS, as statsmodels's tests have it, by quantreg, by scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from papers._claim import Claim, Ours, Runs, holds, number
from papers.huber1981_regression.config import PAPER, arms
from papers.huber1981_regression.data import engel

R = "R, in statsmodels 0.15.0, robust/tests/results/results_rlm.py"
SAS = "SAS, in statsmodels 0.15.0, robust/tests/results/results_rlm.py"
LEAST_SQUARES = "least squares of statsmodels.datasets.{}"
QUANTREG = "R quantreg, from a third party"
QUANT_REG = "statsmodels (as installed), QuantReg"
SKLEARN = "scikit-learn 1.9.1, the docstring of linear_model.HuberRegressor"
DEFINITION = "what a minimum is (fit.py)"

#: The published fits stopped at a tolerance of their own: one at its fixed point differs in the fifth digit.
STOPPED: dict[str, Any] = {
    "digits": 1e-4,
    "tolerance": 1e-3,
    "why": "the published iteration stopped early; this one is at its end",
}
FOUR: dict[str, Any] = {
    "digits": 1e-4,
    "tolerance": 1e-3,
    "why": "four digits are printed; the published iteration has a tolerance",
}
STACK_LOSS = ("air flow", "water temperature", "acid concentration", "constant")
KINKED = ("stack loss: LAD", *(f"Engel: q = {q:g}" for q in PAPER.quantiles))


def _printed(digits: int, truncated: bool = False) -> dict[str, Any]:
    """A number printed with so many decimals, rounded to nearest or cut off."""
    unit = 10.0**-digits
    why = f"{digits} decimals are printed" + (", and the rest cut off" if truncated else "")
    return {"digits": (1 if truncated else 0.51) * unit, "tolerance": 10 * unit, "why": why}


def _one(arm: str, key: str, place: int | None, runs: Runs) -> Ours:
    found = [run[key] for run in runs.of(arm)]
    return number(*(found if place is None else [values[place] for values in found]))


def _coefficients(
    arm: str, names: tuple[str, ...], published: tuple[float, ...], source: str, *near: dict[str, Any]
) -> Iterator[Claim]:
    """A claim for each coefficient; `near` is one for all or one for each."""
    near = near * len(names) if len(near) == 1 else near
    for place, (name, value, tolerances) in enumerate(zip(names, published, near, strict=True)):
        yield Claim(f"{arm}: {name}", value, source, partial(_one, arm, "coefficients", place), **tolerances)


def _weight(arm: str, row: int, published: float, source: str) -> Claim:
    measure = partial(_one, arm, "weights", row - 1)
    return Claim(f"{arm}: weight of day {row}", published, source, measure, **STOPPED)


def _sigma(arm: str, published: float, source: str, near: dict[str, Any]) -> Claim:
    return Claim(f"{arm}: scale", published, source, partial(_one, arm, "sigma", None), **near)


def _as_quant_reg(q: float, runs: Runs) -> Ours:
    """Whether coefficients agree to 1e-5 of their size, and the check loss is no larger than QuantReg's."""
    from statsmodels.regression.quantile_regression import QuantReg

    [found] = runs.of(f"Engel: q = {q:g}")
    ours = np.array(found["coefficients"])
    x, y = engel()
    theirs = np.asarray(QuantReg(y, x).fit(q=q).params)
    off = np.max(np.abs(ours / theirs - 1))
    loss, other = (np.sum(np.maximum(q * (y - x @ b), (q - 1) * (y - x @ b))) for b in (ours, theirs))
    seen = f"slope {ours[0]:.5f}, constant {ours[1]:.5f}"
    return holds(off < 1e-5 and loss <= other * (1 + 1e-12), seen)


def _balanced(runs: Runs) -> Ours:
    margins = [runs.of(arm)[0]["margin"] for arm in KINKED]
    return holds(min(margins) > 0, f"smallest margin {min(margins):.2g} of {len(KINKED)} fits")


def _flat(runs: Runs) -> Ours:
    fits = [runs.of(arm)[0] for arm in arms(PAPER) if arm not in KINKED]
    cosine, curvature = max(fit["cosine"] for fit in fits), min(fit["curvature"] for fit in fits)
    seen = f"largest cosine {cosine:.1g}, smallest curvature {curvature:.1g} of {len(fits)} fits"
    return holds(cosine < 1e-9 and curvature > 0, seen)


def _flat_in_scale(runs: Runs) -> Ours:
    [fit] = runs.of("contaminated: Huber")
    return holds(abs(fit["of_scale"]) < 1e-9, f"{fit['of_scale']:.1g} n")


HUBER, PROPOSAL_2, BISQUARE = "stack loss: Huber", "stack loss: Huber, proposal 2", "stack loss: bisquare"

CLAIMS = (
    *_coefficients(
        "stack loss: OLS",
        STACK_LOSS,
        (0.7156402, 1.2952861, -0.1521225, -39.9196744),
        LEAST_SQUARES.format("stackloss"),
        _printed(7),
    ),
    *_coefficients(HUBER, STACK_LOSS, (0.82937387, 0.92610818, -0.12784916, -41.02653105), R, STOPPED),
    _sigma(HUBER, 2.44071, R, STOPPED),
    _weight(HUBER, 4, 0.50494, R),
    _weight(HUBER, 21, 0.36814, R),
    *_coefficients(PROPOSAL_2, STACK_LOSS, (0.7990, 1.0475, -0.1351, -41.0892), SAS, FOUR),
    _sigma(PROPOSAL_2, 3.2946, SAS, FOUR),
    *_coefficients(BISQUARE, STACK_LOSS, (0.9275471, 0.65073222, -0.11233103, -42.28525369), R, STOPPED),
    _sigma(BISQUARE, 2.28189, R, STOPPED),
    _weight(BISQUARE, 21, 0.00223, R),
    *_coefficients(
        "stack loss: LAD",
        STACK_LOSS,
        (0.83188406, 0.57391304, -0.06086957, -39.68985507),
        QUANTREG,
        _printed(8),
    ),
    *_coefficients(
        "Engel: OLS",
        ("income", "constant"),
        (0.485178, 147.4754),
        LEAST_SQUARES.format("engel"),
        _printed(6),
        _printed(4),
    ),
    *_coefficients("Engel: q = 0.5", ("income", "constant"), (0.56018, 81.48225), QUANTREG, _printed(5)),
    *(
        Claim(f"Engel: q = {q:g}", "QuantReg's line", QUANT_REG, partial(_as_quant_reg, q))
        for q in PAPER.quantiles
        if q != 0.5
    ),
    *_coefficients(
        "contaminated: OLS", ("first slope", "second slope"), (-1.9221, 7.0226), SKLEARN, _printed(4, truncated=True)
    ),
    *_coefficients(
        "contaminated: Huber", ("first slope", "second slope"), (17.7906, 31.0106), SKLEARN, _printed(4, truncated=True)
    ),
    Claim(
        "contaminated: Huber: score",
        -7.284,
        SKLEARN,
        partial(_one, "contaminated: Huber", "r squared", None),
        **_printed(3, truncated=True),
    ),
    Claim("each smooth fit is a minimum", "no gradient of the loss, positive curvature", DEFINITION, _flat),
    Claim("the joint fit of coefficients and scale", "no gradient in the scale", DEFINITION, _flat_in_scale),
    Claim("each quantile fit is the minimum", "slopes of the fitted points balance the rest", DEFINITION, _balanced),
)
