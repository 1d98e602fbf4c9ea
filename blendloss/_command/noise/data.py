"""A known function with contaminated noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from blendloss._command.noise.settings import Settings

FEATURES = 10
# About the mean of the function, because a network's first outputs are about 0.
_CENTRE = 14.4


class Part(NamedTuple):
    """Inputs `[n, FEATURES]`, standardized, and targets `[n, 1]`."""

    x: np.ndarray
    y: np.ndarray


class Data(NamedTuple):
    """The data of one seed. Training and held-out targets are noisy; test targets are the function."""

    train: Part
    held_out: Part
    test: Part


def draw(settings: Settings, seed: int) -> Data:
    """The data of `seed`."""
    random = np.random.default_rng(seed)

    def part(n: int, noisy: bool) -> Part:
        x = random.random((n, FEATURES))
        y = friedman(x) - _CENTRE + (settings.noise.draw(random, n) if noisy else 0.0)
        return Part(((x - 0.5) * np.sqrt(12)).astype(np.float32), y.astype(np.float32)[:, np.newaxis])

    return Data(part(settings.train, True), part(settings.held_out, True), part(settings.test, False))


def friedman(x: np.ndarray) -> np.ndarray:
    """Friedman's first function (Annals of Statistics 19, 1991, eq. 61) of `[n, 5 or more]` in [0, 1]: `[n]`."""
    return 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
