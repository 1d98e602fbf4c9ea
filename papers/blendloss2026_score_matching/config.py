"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

from papers.blendloss2026_switching import config as switching

SINGLES = ("MSE alone", "Huber alone", "MAE alone", "Cauchy alone", "Tukey alone")
#: Gates of the switching study.
EARLIER = ("state", "likelihood")
#: Of the arms below, those of the gate that is studied; the first is the one that most hypotheses are about.
MATCHING = ("score matching", "memory of 300", "convex", "hard", "annealed", "held-out", "default set")
#: The parts of the study that train no network.
LOCATION, POPULATION = "location", "population"


@dataclass(frozen=True)
class Config(switching.Config):
    """The switching study's problems, networks and steps with new seeds, and more problems."""

    #: What seed 0 of the runs is for the data, first weights and batches: a prototype has seen 0 to 19, pilots 100 on.
    first_seed: int = 20
    blends: tuple[str, ...] = (*SINGLES, *EARLIER, *MATCHING)
    #: Sizes from 50 to 10,000 examples, some networks with three hidden layers, and noise that is not symmetric.
    more_sizes: tuple[tuple[int, int], ...] = (
        (50, 1), (200, 1), (5000, 1), (10_000, 1), (50, 10), (200, 10), (5000, 10), (10_000, 10),
    )  # fmt: skip
    deep: tuple[tuple[int, int], ...] = ((100, 10), (1000, 10))
    few_laws: tuple[str, ...] = ("Gaussian", "t3", "10 % outliers")
    skewed_laws: tuple[str, ...] = ("exponential", "lognormal")
    more_tables: tuple[str, ...] = ("cancer", "Grunfeld", "star98", "RAND")
    #: Of location, for each of the seeds; for each law and size.
    location_samples: int = 500
    location_sizes: tuple[int, ...] = (50, 200, 1000)
    location_laws: tuple[str, ...] = ("Gaussian", "t3", "Cauchy", "Laplace", "10 % outliers", "40 % outliers")
    population_laws: tuple[str, ...] = (
        "Gaussian", "t3", "Cauchy", "Laplace", "10 % outliers", "40 % outliers", "heteroscedastic",
    )  # fmt: skip


PAPER = Config()
SMOKE = Config(
    seeds=1,
    synthetic=((100, 1),),
    laws=("Gaussian",),
    tables=(),
    blends=("MSE alone", "score matching", "held-out"),
    more_sizes=((50, 1),),
    deep=(),
    few_laws=("t3",),
    skewed_laws=("exponential",),
    more_tables=("cancer",),
    test=100,
    hidden=4,
    steps=40,
    xla=False,
    location_samples=100,
    location_sizes=(50,),
    location_laws=("t3",),
    population_laws=("Cauchy",),
)


def arms(config: Config) -> list[str]:
    return [LOCATION, POPULATION, *config.blends]
