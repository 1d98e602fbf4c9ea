"""Sizes, and the constants of each published fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """The data are fixed and the fits deterministic: one seed."""

    seeds: int = 1
    quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    steps: int = 800
    #: Of the steps, those in which the floor under |u| falls from 1 to `floor`.
    homotopy: int = 400
    floor: float = 1e-9
    huber: float = 1.345
    bisquare: float = 4.685
    #: The threshold of proposal 2's scale: statsmodels's, beside 1.345 for the coefficients.
    proposal_2: float = 2.5
    #: scikit-learn's defaults: the threshold, and the penalty of the coefficients.
    epsilon: float = 1.35
    alpha: float = 1e-4


PAPER = Config()
SMOKE = Config(quantiles=(0.05, 0.5), steps=40, homotopy=20)

STACK_LOSS = ("OLS", "Huber", "Huber, proposal 2", "bisquare", "LAD")


def arms(config: Config) -> list[str]:
    return [
        *(f"stack loss: {method}" for method in STACK_LOSS),
        "Engel: OLS",
        *(f"Engel: q = {q:g}" for q in config.quantiles),
        "contaminated: OLS",
        "contaminated: Huber",
    ]
