"""What the papers say of the toy: who comes to the Pareto set."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from papers._claim import Claim, Ours, Runs, holds, number
from papers.liu2021_cagrad import late
from papers.liu2021_cagrad.config import LATE, LATE_METHODS, PAPER, STARTS

CAGRAD = "Liu, Liu, Jin, Stone and Liu (NeurIPS 2021, arXiv 2110.14048)"
FAMO = "Liu, Feng, Stone and Liu (NeurIPS 2023, arXiv 2306.03792)"
DERIVED = "closed form of the toy (expected.py)"
HYPOTHESIS = "hypothesis of our own (stated before the runs)"
SAID = "comes to the Pareto set from all five starts"
COUNT: dict[str, Any] = {"digits": 0.4, "tolerance": 0.4, "why": "a count"}
EXACT: dict[str, Any] = {
    "digits": 1e-4,
    "tolerance": 1e-2,
    "why": "Adam comes to a minimum where the loss is smooth, to its step squared",
}
#: FAMO's "all gradient manipulation methods" that this library has.
MANIPULATING = ("MGDA", "PCGrad", "CAGrad 0.4", "IMTL-G", "Nash-MTL")


def _minimum() -> tuple[float, float]:
    """x2 and the value at the minimum of the mean loss.

    By symmetry x1 = 0. There the mean loss is tanh(-x2 / 2) (0.01 (x2 + 8)^2 - 15.1); its slope is bisected.
    """
    low, high = -9.0, -8.0
    for _ in range(60):
        x2 = (low + high) / 2
        height, depth = np.tanh(-x2 / 2), 0.01 * (x2 + 8) ** 2 - 15.1
        rises = -0.5 * (1 - height**2) * depth + height * 0.02 * (x2 + 8) > 0
        low, high = (low, x2) if rises else (x2, high)
    return x2, height * depth


def _of(runs: Runs, scale: str, method: str, starts: str, key: str) -> list[Any]:
    """What `key` is for each start of the list `starts`."""
    [result] = runs.of(f"{scale}: {method}")
    order = [tuple(start) for start in result["starts"]]
    return [result[key][order.index(start)] for start in STARTS[scale][starts]]


def _stuck(scale: str, starts: str, runs: Runs) -> Ours:
    return number(_of(runs, scale, "mean", starts, "reached").count(False))


def _all_reach(scale: str, methods: tuple[str, ...], starts: str, runs: Runs) -> Ours:
    counts = {method: _of(runs, scale, method, starts, "reached").count(True) for method in methods}
    seen = ", ".join(f"{method} {count} of 5" for method, count in counts.items())
    return holds(all(count == 5 for count in counts.values()), seen)


def _spread(runs: Runs) -> Ours:
    ends = {method: [end[0] for end in _of(runs, "1", method, "code", "ends")] for method in ("MGDA", "PCGrad")}
    seen = "; ".join(f"{method} x1 = {', '.join(f'{x:.2f}' for x in ends[method])}" for method in ends)
    return holds(all(np.ptp(x) > 1 for x in ends.values()), seen)


def _same(runs: Runs) -> Ours:
    """Judged by the directions: Adam, to and fro across a trench, enlarges their rounding in the ends (README)."""
    [cagrad] = runs.of("1: CAGrad 0")
    off = max(cagrad["off the mean gradient"])
    return holds(
        off < 1e-12,
        f"no step's direction is off the mean gradient, in lengths of the longer one, by more than {number(off)}",
    )


def _at_minimum(runs: Runs) -> Ours:
    far = np.abs(np.array(runs.of("1: CAGrad 0.5")[0]["ends"]) - [0, _minimum()[0]]).max()
    return holds(far < 1e-2, f"largest distance of the six ends {far:.1g}")


def _least(runs: Runs) -> Ours:
    return number(np.max(runs.of("1: CAGrad 0.5")[0]["mean loss"]))


def _as_mgda(runs: Runs) -> Ours:
    ends = [[end[0] for end in _of(runs, "1", method, "code", "ends")] for method in ("CAGrad 10", "MGDA")]
    seen = " against ".join(", ".join(f"{x:.2f}" for x in some) for some in ends)
    return holds(np.abs(np.diff(ends, axis=0)).max() < 0.5, f"x1 = {seen}")


def _claims_of_cagrad() -> tuple[Claim, ...]:
    others = ("MGDA", "PCGrad", "CAGrad 0.5")
    said = "all other methods converge to the Pareto set"
    code, text = f"{CAGRAD}, figure 1; starts of its code", f"{CAGRAD}, figure 1; starts of its text"
    return (
        Claim("scale 1: gradient descent stuck, of 5", 2, code, partial(_stuck, "1", "code"), **COUNT),
        Claim("scale 1: stuck, starts as printed, of 5", 2, text, partial(_stuck, "1", "paper"), **COUNT),
        Claim("scale 1: others", said, code, partial(_all_reach, "1", others, "code")),
        Claim("scale 1: others, starts as printed", said, text, partial(_all_reach, "1", others, "paper")),
        Claim("MGDA and PCGrad", "end at points that depend on the start", code, _spread),
        Claim("CAGrad, c = 0.5", "comes to the minimum of the mean loss", code, _at_minimum),
        Claim("its mean loss, the worst start", _minimum()[1], DERIVED, _least, **EXACT),
        Claim("CAGrad, c = 0", "is gradient descent", CAGRAD, _same),
        Claim("CAGrad, c = 10", "approximates MGDA", CAGRAD, _as_mgda),
    )


def _claims_of_famo() -> tuple[Claim, ...]:
    code, text = f"{FAMO}, toy; starts of its code", f"{FAMO}, toy; starts of its text"
    all_of_them = ("FAMO", *MANIPULATING)
    return (
        Claim("scale 0.1: Adam fails, of 5", 1, code, partial(_stuck, "0.1", "code"), **COUNT),
        Claim("scale 0.1: Adam fails, starts as printed, of 5", 1, text, partial(_stuck, "0.1", "paper"), **COUNT),
        *(
            Claim(f"scale 0.1: {method}", SAID, code, partial(_all_reach, "0.1", (method,), "code"))
            for method in all_of_them
        ),
        Claim("these six, starts as printed", SAID, text, partial(_all_reach, "0.1", all_of_them, "paper")),
    )


#: Changes that the paper's text rules out; the others are questions of how it was computed.
OTHER_EXPERIMENTS = ("rate 5e-4", "rate 2e-3", "scale 1")


def _arrivals(runs: Runs, method: str) -> dict[str, float]:
    """After how many steps the path from (9, 9) arrives, for each candidate; infinite for one that does not."""
    [result] = runs.of(f"{LATE}: {method}")
    first = {name: one["arrived"][0] for name, one in result["candidates"].items()}
    return {name: float("inf") if step is None else step for name, step in first.items()}


def _told(arrivals: dict[str, float]) -> str:
    return ", ".join(f"{name} {step:,.0f}" if np.isfinite(step) else f"{name} never" for name, step in arrivals.items())


def _arrive(method: str, names: tuple[str, ...], steps: int, runs: Runs) -> Ours:
    found = {name: step for name, step in _arrivals(runs, method).items() if name in names}
    return holds(all(step <= steps for step in found.values()), _told(found))


def _no_other(method: str, runs: Runs) -> Ours:
    clipped = [name for name, one in late.candidates(method).items() if np.isfinite(one.clip)]
    found = {
        name: step
        for name, step in _arrivals(runs, method).items()
        if name not in clipped and name not in OTHER_EXPERIMENTS
    }
    early = {name: step for name, step in found.items() if step <= PAPER.short}
    return holds(not early, f"of {len(found)} others: {_told(early) or 'none'}")


def _claims_of_late(method: str) -> tuple[Claim, ...]:
    short = f"{PAPER.short:,} steps"
    clipped, others = (late.CLIPPED, late.CODE), ("rate 2e-3", "scale 1")
    return (
        Claim(
            f"{LATE}, {method}: clipping",
            f"gradients clipped to length 1, as in the code, bring it to the Pareto set within {short}",
            HYPOTHESIS,
            partial(_arrive, method, clipped, PAPER.short),
        ),
        Claim(
            f"{LATE}, {method}: nothing else",
            f"no other detail of the computation does so within {short}",
            HYPOTHESIS,
            partial(_no_other, method),
        ),
        Claim(
            f"{LATE}, {method}: more steps",
            "as run before, without clipping, it arrives within 100,000 steps",
            HYPOTHESIS,
            partial(_arrive, method, (late.BASELINE,), 100_000),
        ),
        Claim(
            f"{LATE}, {method}: rate, scale",
            f"twice the learning rate does so within {short}, and so do two losses of one scale",
            HYPOTHESIS,
            partial(_arrive, method, others, PAPER.short),
        ),
    )


CLAIMS = (
    *_claims_of_cagrad(),
    *_claims_of_famo(),
    *(claim for method in LATE_METHODS for claim in _claims_of_late(method)),
)
