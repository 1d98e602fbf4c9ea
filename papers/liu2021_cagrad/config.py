"""Sizes, which methods are run at which scale, and where they start."""

from __future__ import annotations

from dataclasses import dataclass

#: The starts of each scale, by the name of the list that they belong to.
STARTS = {
    "1": {
        "code": [(-8.5, 7.5), (-8.5, -5.0), (0.0, 0.0), (9.0, 9.0), (10.0, -8.0)],
        "paper": [(-8.5, 7.5), (-8.5, 5.0), (0.0, 0.0), (9.0, 9.0), (10.0, -8.0)],
    },
    "0.1": {
        "code": [(-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0)],
        "paper": [(-8.5, 7.5), (-8.5, 5.0), (0.0, 0.0), (9.0, 9.0), (10.0, -8.0)],
    },
}


def starts(scale: str) -> list[tuple[float, float]]:
    """All starts of `scale`, each once."""
    return list(dict.fromkeys(start for some in STARTS[scale].values() for start in some))


@dataclass(frozen=True)
class Config:
    """The toy is deterministic: one seed. Each arm is a scale of L1 and a method, from all starts."""

    seeds: int = 1
    #: At scale 1, as in CAGrad's code.
    long: int = 100_000
    #: At scale 0.1, as in FAMO's.
    short: int = 50_000
    #: A path is looked at every so many steps.
    every: int = 100
    learning_rate: float = 1e-3
    at_1: tuple[str, ...] = (
        "mean", "MGDA", "PCGrad", "CAGrad 0.5", "CAGrad 0", "CAGrad 10", "IMTL-G", "Nash-MTL", "FAMO"
    )  # fmt: skip
    at_01: tuple[str, ...] = ("mean", "MGDA", "PCGrad", "CAGrad 0.4", "IMTL-G", "Nash-MTL", "FAMO")


#: The methods that are looked at closely at scale 0.1 from (9, 9), and the beginning of their arms' names.
LATE, LATE_METHODS = "from (9, 9)", ("PCGrad", "CAGrad 0.4")
PAPER = Config()
SMOKE = Config(long=200, short=200, every=50, at_1=("MGDA",), at_01=("FAMO",))


def arms(config: Config) -> list[str]:
    return (
        [f"1: {name}" for name in config.at_1]
        + [f"0.1: {name}" for name in config.at_01]
        + [f"{LATE}: {name}" for name in LATE_METHODS]
    )
