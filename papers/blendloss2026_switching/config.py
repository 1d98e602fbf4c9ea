"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """All arms of a seed see the same data, first weights and batches."""

    seeds: int = 20
    #: Training examples and features of each synthetic problem.
    synthetic: tuple[tuple[int, int], ...] = ((100, 1), (1000, 1), (100, 10), (1000, 10))
    laws: tuple[str, ...] = (
        "Gaussian",
        "t3",
        "Cauchy",
        "5 % outliers",
        "10 % outliers",
        "20 % outliers",
        "40 % outliers",
        "heteroscedastic",
    )
    tables: tuple[str, ...] = ("flights", "diabetes", "Engel")
    blends: tuple[str, ...] = (
        "MSE alone",
        "Huber alone",
        "MAE alone",
        "hard switch",
        "crossfade",
        "annealed",
        "plateau",
        "state",
        "straight-through",
        "likelihood",
    )
    test: int = 1000
    hidden: int = 32
    batch: int = 100  # all of the smallest problem
    steps: int = 1000
    learning_rate: float = 0.01
    #: Of the network's Adam: a gate changes the size of the gradients, which 0.999 would remember to the end.
    beta_2: float = 0.99
    gate_learning_rate: float = 0.02
    #: Steps from one look at the held-out data to the next.
    every: int = 20
    #: Compiling takes longer than a tiny training.
    xla: bool = True


PAPER = Config()
SMOKE = Config(
    seeds=1,
    synthetic=((100, 10),),
    laws=("Gaussian", "20 % outliers"),
    tables=("diabetes",),
    blends=("MSE alone", "Huber alone", "plateau", "likelihood"),
    test=100,
    hidden=4,
    steps=40,
    xla=False,
)


def arms(config: Config) -> list[str]:
    return list(config.blends)
