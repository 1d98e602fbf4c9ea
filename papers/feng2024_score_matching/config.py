"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

from papers.feng2024_score_matching.laws import LAWS

_HUBER = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.85, 1, 1.345, 1.7, 2, 2.5, 3)
#: Thresholds of the greedy choice.
GRID = (
    "squared",
    "absolute",
    *(f"huber_{k:g}" for k in _HUBER),
    *(f"cauchy_{s:g}" for s in (0.2, 0.3, 0.4, 0.5, 0.7, 0.85, 1, 1.25, 1.5, 2, 2.385, 3, 4)),
    *(f"tukey_{c:g}" for c in (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.685, 6, 8, 10)),
    *(f"welsch_{s:g}" for s in (0.5, 0.7, 1, 1.5, 2, 2.985, 4)),
    *(f"geman_mcclure_{s:g}" for s in (0.5, 0.7, 1, 1.5, 2, 3, 4)),
)
#: The sets that are settled on.
DEFAULT = ("squared", "absolute", "huber", "cauchy_0.5", "tukey_2.5", "tukey")
CONVEX = ("squared", "absolute", "huber_0.3", "huber_0.7", "huber", "huber_2")
#: What the best sets of each size are chosen from: their number grows fast.
POOL = (
    "squared", "absolute", "huber", "cauchy", "cauchy_1", "cauchy_0.5", "cauchy_0.2",
    "tukey_2", "tukey_2.5", "tukey_3", "tukey", "tukey_8",
)  # fmt: skip
CONVEX_POOL = ("squared", "absolute", *(f"huber_{k:g}" for k in (0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.345, 1.7, 2, 2.5)))
#: Sets that are compared by their squared errors, beside the two settled ones.
SETS = {
    "1": ("huber",),
    "3": ("squared", "cauchy_0.5", "tukey"),
    "5": ("squared", "absolute", "cauchy_0.5", "tukey_2.5", "tukey"),
    "8": (*DEFAULT, "cauchy", "tukey_8"),
    "12": (*DEFAULT, "cauchy", "tukey_8", "tukey_3.5", "cauchy_1", "huber_0.4", "huber_2"),
    "convex 3": ("squared", "absolute", "huber_1"),
    "convex 4": ("squared", "absolute", "huber_0.5", "huber"),
    "convex 5": ("squared", "absolute", "huber_0.3", "huber_0.7", "huber"),
    "convex 10": ("squared", "absolute", *(f"huber_{k:g}" for k in (0.2, 0.3, 0.5, 0.7, 1, 1.345, 1.7, 2))),
}


@dataclass(frozen=True)
class Config:
    """One seed: more are more samples."""

    seeds: int = 1
    laws: tuple[str, ...] = tuple(LAWS)
    #: Of the grid in log |r|.
    cells: int = 8000
    grid: tuple[str, ...] = GRID
    greedy: int = 12
    pool: tuple[str, ...] = POOL
    convex_pool: tuple[str, ...] = CONVEX_POOL
    #: The largest of the best sets.
    largest: int = 8
    #: Residuals that the library's gate is given.
    residuals: int = 1 << 14
    sizes: tuple[int, ...] = (50, 200, 1000)
    #: Of each size, at each law.
    samples: int = 300


PAPER = Config()
SMOKE = Config(
    laws=("normal", "t(1)"),
    cells=1000,
    grid=("squared", "absolute", "huber"),
    greedy=2,
    pool=("squared", "absolute", "huber"),
    convex_pool=("squared", "absolute", "huber_0.7"),
    largest=2,
    residuals=1 << 10,
    sizes=(50,),
    samples=20,
)


def arms(config: Config) -> list[str]:
    return ["efficiencies", "choice", "convex choice", *(f"n = {n}" for n in config.sizes)]
