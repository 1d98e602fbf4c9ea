"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

PENALTIES = (
    "SquaredError",
    "AbsoluteError",
    "Quantile 1/2",
    "EpsilonInsensitive",
    "Huber",
    "PseudoHuber",
    "LogCosh",
    "Fair",
    "Cauchy",
    "Welsch",
    "GemanMcClure",
    "Tukey",
    "Barron 1.5",
    "Barron 0.5",
    "AdaptiveBarron",
)


@dataclass(frozen=True)
class Config:
    """The replications are those of one run: more seeds are more of them."""

    seeds: int = 1
    penalties: tuple[str, ...] = PENALTIES
    #: Whose tuning constants are compared, of menezes.py.
    tuned: tuple[str, ...] = ("Huber", "Tukey", "Cauchy", "Andrews", "Hampel", "trimmed mean", "Tukey quartic")
    #: Huber's contaminations, by any symmetric law.
    shares: tuple[float, ...] = (
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8,
    )  # fmt: skip
    #: The parts of the mixture that are three times as wide: of the curves, of Monte Carlo, of the two scales.
    curve: tuple[float, ...] = tuple(n / 100 for n in range(31))
    drawn: tuple[float, ...] = (0.0, 0.01, 0.05, 0.1, 0.2)
    scales: tuple[float, ...] = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
    sizes: tuple[int, ...] = (20, 50, 200)
    replications: int = 50_000
    batch: int = 25_000
    scale_size: int = 1000
    scale_replications: int = 20_000
    #: Steps of Adam that fit AdaptiveBarron's shape and scale to each mixture, from those of the next.
    fit_steps: int = 2000


PAPER = Config()
SMOKE = Config(
    penalties=("Huber",),
    tuned=("Huber",),
    shares=(0.1,),
    curve=(0.0, 0.1),
    drawn=(0.0, 0.1),
    scales=(0.0, 0.05),
    sizes=(20,),
    replications=1000,
    batch=1000,
    scale_size=100,
    scale_replications=1000,
    fit_steps=20,
)


def arms(config: Config) -> list[str]:
    return ["minimax", "scales", "constants", *config.penalties]
