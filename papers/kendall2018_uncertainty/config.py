"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

#: Name of an arm -> the gate's form, and whether the model is a line.
ARMS = {
    "network": ("geometric", False),
    "line": ("geometric", True),
    "line, equation 7": ("regression", True),
}


@dataclass(frozen=True)
class Config:
    """The network as in the authors' code; the line's training is ours. A seed draws weights and the order of data."""

    seeds: int = 10
    arms: tuple[str, ...] = tuple(ARMS)
    examples: int = 100
    width: int = 1024
    batch: int = 20
    learning_rate: float = 1e-3
    steps: int = 10_000  # 2000 epochs
    line_learning_rate: float = 0.05
    line_steps: int = 3000
    #: From how many steps to how many the standard deviations are kept.
    every: int = 100


PAPER = Config()
SMOKE = Config(seeds=1, arms=("network", "line"), width=64, steps=200, line_steps=200)


def arms(config: Config) -> list[str]:
    return list(config.arms)
