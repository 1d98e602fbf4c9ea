"""What the paper says of its polynomial programming, and what follows from its problem.

A latent is 1 with the probability pi, and costs |z - c|^p. The expected cost pi (1 - c)^p + (1 - pi) c^p is least at
pi = 0, as c < 1/2. The straight-through gradient of the logits is, in expectation, pi (1 - pi) times
pi f'(1) + (1 - pi) f'(0), with f'(1) = p (1 - c)^(p-1) and f'(0) = -p c^(p-1): it vanishes at the inner point
pi = c^(p-1) / (c^(p-1) + (1 - c)^(p-1)), and leads there from both sides.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from papers._claim import Claim, Ours, Runs, holds, number
from papers.liu2023_reinmax.config import PAPER, named

PAPER_SAYS = (
    "Liu, Dong, Liu, Yu and Gao (NeurIPS 2023, arXiv 2304.08612): training curves of polynomial programming, no number"
    " in the text; sizes as in LiyuanLucasLiu/ReinMax @2367056f, poly"
)
DERIVED = "closed form (expected.py)"
BASELINES = ("ST", "Gumbel ST", "REINFORCE")


def optimum(p: float, c: float) -> float:
    """The least expected loss."""
    return c**p


def uniform(p: float, c: float) -> float:
    """The expected loss of equal probabilities, where training starts."""
    return ((1 - c) ** p + c**p) / 2


def straight_through(p: float, c: float) -> float:
    """The expected loss where the straight-through gradient vanishes."""
    pi = c ** (p - 1) / (c ** (p - 1) + (1 - c) ** (p - 1))
    return pi * (1 - c) ** p + (1 - pi) * c**p


def _loss(p: float, estimator: str, runs: Runs) -> Ours:
    return number(*runs.numbers(named(p, estimator), "training loss"))


def _ordering(p: float, runs: Runs) -> Ours:
    """Every seed of ReinMax below every seed of the others."""
    ours = runs.numbers(named(p, "ReinMax"), "training loss")
    others = {name: runs.numbers(named(p, name), "training loss") for name in BASELINES}
    seen = ", ".join(f"{name} {losses.mean():.4f}" for name, losses in {"ReinMax": ours, **others}.items())
    return holds(all(ours.max() < losses.min() for losses in others.values()), seen)


ST_WHY: dict[str, Any] = {
    "digits": 1e-4,
    "tolerance": 1e-3,
    "why": "Adam's noise moves the logits about the point where they rest",
}
EXACT_WHY: dict[str, Any] = {
    "digits": 5e-4,
    "tolerance": 2e-3,
    "why": "a limit, approached and not reached in 8000 steps: the gradient vanishes with the probability",
}

CLAIMS = (
    *(
        Claim(
            f"ReinMax outperforms, p = {p:g}",
            "its training loss is below those of the other estimators",
            PAPER_SAYS,
            partial(_ordering, p),
        )
        for p in PAPER.powers
    ),
    *(
        Claim(
            f"where straight-through rests, p = {p:g}",
            straight_through(p, PAPER.center),
            DERIVED,
            partial(_loss, p, "ST"),
            **ST_WHY,
        )
        for p in PAPER.powers
    ),
    *(
        Claim(
            f"the optimum, by the exact gradient, p = {p:g}",
            optimum(p, PAPER.center),
            DERIVED,
            partial(_loss, p, "exact"),
            **EXACT_WHY,
        )
        for p in PAPER.powers
    ),
)
