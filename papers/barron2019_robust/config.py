"""Sizes."""

from __future__ import annotations

from dataclasses import dataclass

FITS = ("adaptive", "adaptive, float64", "least squares", "adaptive, PyTorch", "least squares, PyTorch")


@dataclass(frozen=True)
class Config:
    """Each seed draws other residuals and columns, and starts the fits elsewhere."""

    seeds: int = 16
    residuals: int = 400
    drawn_shapes: int = 191
    partitions: int = 21
    recovery_steps: int = 1000
    fits: tuple[str, ...] = FITS
    tensorflow_steps: int = 1001
    pytorch_steps: int = 1901
    every: int = 25


PAPER = Config()
SMOKE = Config(1, 20, 5, 1, 3, ("adaptive", "least squares"), tensorflow_steps=26)


def arms(config: Config) -> list[str]:
    return ["special cases", "properties", "partition function", "recovery", *config.fits]
