"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

from papers.blendloss2026_annealing.candidates import BASELINE, CANDIDATES, EQUAL, SCRIPT


@dataclass(frozen=True)
class Config:
    """The official script's numbers, as in wang2021_pinn; all networks of an arm are trained in one program."""

    #: Another one draws `networks` others.
    seeds: int = 1
    networks: int = 10
    #: Hidden layers x units.
    sizes: tuple[str, ...] = ("3x30", "3x50")
    candidates: tuple[str, ...] = tuple(name for name in CANDIDATES if name != EQUAL)
    #: A size without a candidate but the baseline, and equal weights.
    more: str = "5x50"
    at_more: tuple[str, ...] = (BASELINE, EQUAL)
    batch: int = 128
    steps: int = 40_001
    #: From one record to the next.
    every: int = 1000
    grid: int = 100
    #: XLA, for the candidates that do not forbid it.
    jit: bool = True


PAPER = Config()
SMOKE = Config(
    networks=2,
    sizes=("1x8",),
    candidates=(BASELINE, SCRIPT, "float64"),
    more="2x8",
    at_more=(EQUAL,),
    batch=16,
    steps=41,
    every=20,
    grid=20,
    jit=False,
)


def arms(config: Config) -> list[str]:
    of_sizes = [f"{size} {name}" for size in config.sizes for name in config.candidates]
    return [*of_sizes, *(f"{config.more} {name}" for name in config.at_more)]
