"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Dimension, start, steps and number of solutions as in the authors' code; a seed draws the starts."""

    seeds: int = 10
    arms: tuple[str, ...] = ("linear", "MGDA", "Tchebycheff", "smooth Tchebycheff")
    solutions: int = 10
    dimension: int = 20
    steps: int = 100
    #: Until everything has settled, for the closed forms.
    long_steps: int = 3000
    smoothness: float = 0.01
    #: MGDA by XLA, which takes seconds to compile.
    compile: bool = True


PAPER = Config()
SMOKE = Config(seeds=1, arms=("linear", "MGDA", "Tchebycheff"), solutions=2, steps=50, long_steps=200, compile=False)


def arms(config: Config) -> list[str]:
    return list(config.arms)
