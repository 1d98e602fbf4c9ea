"""What the paper's figure shows, and where each method must end (front.py derives it)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from papers._claim import Claim, Ours, Runs, holds, number
from papers.lin2019_concave_front.config import PAPER
from papers.lin2019_concave_front.front import (
    TURN,
    fixed_weights,
    linear_minima,
    maximum_minimum,
    maximum_weights,
    on_front,
)

FIGURE = "Lin, Zhen, Li, Zhang and Kwong (NeurIPS 2019), figure of the toy; authors' code ParetoMTL @0407f354"
DERIVED = "closed form (front.py)"
EXACT: dict[str, Any] = {"digits": 1e-5, "tolerance": 1e-3, "why": "s where descent must end, in float64"}


def _places(arm: str, when: str, runs: Runs, what: str = "s") -> np.ndarray:
    """`[seeds, solutions]`."""
    return np.array([result[when][what] for result in runs.of(arm)])


def _only_ends(runs: Runs) -> Ours:
    s = np.abs(_places("linear", "short", runs))
    off = np.max(np.linalg.norm(on_front(s) - on_front(1.0), axis=-1))
    return holds(np.all(s > TURN), f"{s.size} of {s.size} at most {off:.2g} from an end, |s| at least {s.min():.2f}")


def _only_middle(runs: Runs) -> Ours:
    s = _places("MGDA", "short", runs)
    values = on_front(s)
    seen = f"s from {s.min():.2f} to {s.max():.2f}, f1 from {values[..., 0].min():.2f} to {values[..., 0].max():.2f}"
    return holds(np.all(np.abs(s) < TURN) and np.ptp(s) < 1, seen)


def _spread(arm: str, runs: Runs) -> Ours:
    s = _places(arm, "end", runs)
    ordered = np.all(np.diff(s) > 0)
    within = int(np.sum(np.abs(s) < TURN, axis=1).min())
    return holds(
        ordered and within > 0,
        f"s from {s.min():.2f} to {s.max():.2f} in the preferences' order, {within} in the concave part",
    )


def _stationary(runs: Runs) -> Ours:
    return number(*_places("MGDA", "end", runs, "beside").max(axis=1))


def _linear_error(runs: Runs) -> Ours:
    """The largest distance of an s to the nearest minimum of its weights."""
    ends = _places("linear", "end", runs)
    minima = [np.array(linear_minima(r)) for r in fixed_weights(ends.shape[1])]
    return number(*(max(np.abs(m - s).min() for m, s in zip(minima, run, strict=True)) for run in ends))


def _maximum_error(arm: str, smoothness: float, runs: Runs) -> Ours:
    """The largest distance of an s to the minimum of its preference."""
    ends = _places(arm, "end", runs)
    minima = np.array([maximum_minimum(weights, smoothness) for weights in maximum_weights(ends.shape[1])])
    return number(*np.abs(ends - minima).max(axis=1))


CLAIMS = (
    Claim("linear blends", "fixed weights only reach the two ends of the front", FIGURE, _only_ends),
    Claim("MGDA", "MGDA reaches a few points in the middle", FIGURE, _only_middle),
    Claim("Pareto-MTL", "Pareto-MTL's solutions spread over the front", FIGURE, partial(_spread, "Pareto-MTL")),
    Claim(
        "Tchebycheff",
        "one end for each preference, in their order, also in the concave part",
        DERIVED,
        partial(_spread, "Tchebycheff"),
    ),
    Claim(
        "linear: largest error of s", 0.0, DERIVED + ": 2 artanh(s) = 4 s + log(r / (1 - r))", _linear_error, **EXACT
    ),
    Claim("MGDA: largest distance to the front", 0.0, DERIVED + ": ends are Pareto-stationary", _stationary, **EXACT),
    Claim(
        "Tchebycheff: largest error of s",
        0.0,
        DERIVED + ": w1 f1 = w2 f2",
        partial(_maximum_error, "Tchebycheff", 0.0),
        **EXACT,
    ),
    Claim(
        "smooth Tchebycheff: largest error of s",
        0.0,
        DERIVED + ": the smooth maximum is stationary",
        partial(_maximum_error, "smooth Tchebycheff", PAPER.smoothness),
        **EXACT,
    ),
)
