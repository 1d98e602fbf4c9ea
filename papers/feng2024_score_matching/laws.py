"""Symmetric laws of the noise: density and score -p'/p on a grid that covers both tails."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gamma, ndtr

#: p and -p'/p at r > 0.
Density = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
#: The grid's ends, as log r.
_ENDS = (np.log(1e-7), np.log(1e7))
#: 1 / 0.6745: a normal law's standard deviation over the median of |r|.
_TO_DEVIATIONS = 1.4826022185056018


class Law(NamedTuple):
    """A symmetric law by its midpoint rule in log |r|.

    Args:
        r: the places, positive, `[N]`.
        mass: P(|r| in the cell), `[N]`.
        score: -p'/p at r, `[N]`.
        scale: 1.4826 times the median of |r|, by which residuals are divided before losses see them.
        information: Fisher's, E score^2.
    """

    r: np.ndarray
    mass: np.ndarray
    score: np.ndarray
    scale: float
    information: float

    def drawn(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Residuals by the inverse of the distribution function: laws share their uniform numbers, given the seed."""
        below, sign = generator.random(shape), np.sign(generator.random(shape) - 0.5)
        reached = np.cumsum(self.mass)
        return sign * np.exp(np.interp(below, reached / reached[-1], np.log(self.r)))


def law(name: str, cells: int) -> Law:
    """The law `name` of LAWS on `cells` cells."""
    edges = np.linspace(*_ENDS, cells + 1)
    r = np.exp((edges[1:] + edges[:-1]) / 2)
    density, score = LAWS[name](r)
    mass = 2 * density * r * (edges[1] - edges[0])
    median = np.exp(np.interp(0.5, np.cumsum(mass), edges[1:]))
    return Law(r, mass, score, _TO_DEVIATIONS * median, float(mass @ score**2))


def normals(shares: np.ndarray, widths: np.ndarray) -> Density:
    """The mixture of N(0, widths^2), and its score."""

    def density(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = shares * _normal(r[:, np.newaxis], widths)
        p = parts.sum(axis=1)
        return p, _quotient((parts * r[:, np.newaxis] / widths**2).sum(axis=1), p)

    return density


def _student(degrees: float) -> Density:
    factor = gamma((degrees + 1) / 2) / gamma(degrees / 2) / np.sqrt(degrees * np.pi)
    return lambda r: (factor * (1 + r**2 / degrees) ** (-(degrees + 1) / 2), (degrees + 1) * r / (degrees + r**2))


def _generalized(power: float) -> Density:
    factor = power / 2 / gamma(1 / power)
    return lambda r: (factor * np.exp(-(r**power)), power * r ** (power - 1))


def _contaminated(share: float, width: float) -> Density:
    return normals(np.array([1 - share, share]), np.array([1.0, width]))


def _least_favourable(share: float) -> Density:
    """Huber's: the law with the least information among all normal ones with this share of contamination."""
    k = brentq(lambda k: 2 * _normal(k) / k - 2 * ndtr(-k) - share / (1 - share), 1e-3, 9)

    def density(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tail = _normal(k) * np.exp(-k * (r - k))
        return (1 - share) * np.where(r < k, _normal(r), tail), np.minimum(r, k)

    return density


def _scale_mixture(spread: float) -> Density:
    """exp(spread Z) Z' of two normal numbers."""
    z = np.linspace(-8, 8, 801)
    return normals(_normal(z) / _normal(z).sum(), np.exp(spread * z))


def _smoothed_uniform(half: float) -> Density:
    """The sum of a uniform number on (-half, half) and a normal one."""

    def density(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = (ndtr(half - r) - ndtr(-half - r)) / (2 * half)
        return p, _quotient((_normal(r - half) - _normal(r + half)) / (2 * half), p)

    return density


def _logistic(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.exp(-r) / (1 + np.exp(-r)) ** 2, np.tanh(r / 2)


def _secant(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 0.5 / np.cosh(np.minimum(np.pi / 2 * r, 700)), np.pi / 2 * np.tanh(np.pi / 2 * r)


def _normal(r: np.ndarray, width: np.ndarray | float = 1.0) -> np.ndarray:
    return np.exp(-0.5 * (r / width) ** 2) / (width * np.sqrt(2 * np.pi))


def _quotient(slope: np.ndarray, p: np.ndarray) -> np.ndarray:
    """slope / p; 0 where p is too small for a number."""
    return np.divide(slope, p, out=np.zeros_like(p), where=p > 1e-300)


LAWS: dict[str, Density] = {
    "normal": lambda r: (_normal(r), r),
    **{f"t({degrees})": _student(degrees) for degrees in (1, 2, 3, 5, 10)},
    "Laplace": lambda r: (0.5 * np.exp(-r), np.ones_like(r)),
    "logistic": _logistic,
    "hyperbolic secant": _secant,
    **{f"generalized normal {power:g}": _generalized(power) for power in (1.2, 1.5, 4)},
    **{f"{e:.0%} x {width}": _contaminated(e, width) for width in (3, 10) for e in (0.01, 0.05, 0.1, 0.2, 0.4)},
    **{f"least favourable {share:.0%}": _least_favourable(share) for share in (0.05, 0.2)},
    **{f"exp({spread:g} Z) Z'": _scale_mixture(spread) for spread in (0.35, 0.7, 1.2)},
    "uniform + normal": _smoothed_uniform(2.0),
}  # fmt: skip
