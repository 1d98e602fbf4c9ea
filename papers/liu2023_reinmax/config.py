"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

ESTIMATORS = ("exact", "ReinMax", "Gumbel ST", "ST", "REINFORCE", "argmax ST")


@dataclass(frozen=True)
class Config:
    """The sizes of the authors' code: the loss |z - center|^p of each latent, Adam, the temperature 1."""

    seeds: int = 10
    powers: tuple[float, ...] = (1.5, 2.0, 3.0)
    center: float = 0.45
    latents: int = 128
    batch: int = 64
    epochs: int = 40
    steps_per_epoch: int = 200
    learning_rate: float = 1e-3
    start: float = 0.01


PAPER = Config()
SMOKE = Config(seeds=1, powers=(2.0,), latents=8, batch=8, epochs=4, steps_per_epoch=10, learning_rate=0.1)


def arms(config: Config) -> list[str]:
    return [named(p, estimator) for p in config.powers for estimator in ESTIMATORS]


def named(p: float, estimator: str) -> str:
    """The arm of `estimator` for the power `p`."""
    return f"p = {p:g}, {estimator}"


def parts(arm: str) -> tuple[float, str]:
    """The power and the estimator of `arm`."""
    power, estimator = arm.removeprefix("p = ").split(", ")
    return float(power), estimator
