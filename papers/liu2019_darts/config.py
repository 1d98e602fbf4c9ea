"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """The toy is deterministic: one seed. The paper names neither its learning rate nor its steps."""

    seeds: int = 1
    virtual_steps: tuple[float, ...] = (0.0, 0.1, 0.2, 0.5)
    learning_rate: float = 0.05
    steps: int = 2000
    start: tuple[float, float] = (2.0, -2.0)


PAPER = Config()
SMOKE = Config(virtual_steps=(0.0, 0.5), steps=100)


def arms(config: Config) -> list[str]:
    return [f"xi = {xi:g}" for xi in config.virtual_steps]
