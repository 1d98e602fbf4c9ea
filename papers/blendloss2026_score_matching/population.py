"""The asymptotic variances of the blend and of each of its losses at noise that is known, by quadrature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.blendloss2026_score_matching.sets import CONVEX, SEVEN

#: Midpoints t of [0, asinh(1e8)], at x = sinh t: beyond, t(3) has 1e-8 of its variance, Cauchy 6e-9 of its mass.
_STEP = np.arcsinh(1e8) / (1 << 16)
_T = (np.arange(1 << 16) + 0.5) * _STEP
_X, _CELLS = np.sinh(_T), np.cosh(_T) * _STEP


class Law(NamedTuple):
    """A symmetric density and its derivative at x > 0."""

    density: np.ndarray
    derivative: np.ndarray


def variances(laws: Sequence[str]) -> dict[str, Any]:
    """By law: V of each loss and of both blends, the bound 1 / Fisher information, and the scale c of the residuals."""
    return {law: _variances(law_named(law)) for law in laws}


def _variances(law: Law) -> dict[str, Any]:
    half = 2 * np.cumsum(law.density * _CELLS)
    scale = float(np.interp(0.5, half, _X + 0.5 * _CELLS)) * 1.4826
    singles, blends = {}, {}
    for name, losses in (("blend", SEVEN), ("convex", CONVEX)):
        second, curvature = moments(list(losses.values()), law, scale)
        weights = bl.gates.least_variance_weights(second, curvature).numpy()
        blends[name] = float(weights @ second @ weights) * scale**2
        singles[name] = dict(zip(losses, (np.diag(second) / curvature**2 * scale**2).tolist(), strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        information = 2 * np.nansum(law.derivative**2 / law.density * _CELLS)
    return {**blends, "singles": singles["blend"], "bound": float(1 / information), "scale": scale}


def moments(penalties: list[bl.losses.Penalty], law: Law, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A = E psi psi' and b = E psi' at u = e / scale. By parts b = -c int psi(x / c) p'(x) dx, also where psi jumps."""
    psi = np.stack([penalty.slope(tf.constant(_X / scale)).numpy() for penalty in penalties], axis=-1)
    second = 2 * (psi * (law.density * _CELLS)[:, None]).T @ psi
    return second, -2 * scale * (law.derivative * _CELLS) @ psi


def law_named(name: str) -> Law:
    """As `noise` of the switching study draws it."""
    match name.split():
        case ["Gaussian"]:
            return _normals([1.0], [1.0])
        case [share, "%", "outliers"]:
            return _normals([1 - float(share) / 100, float(share) / 100], [1.0, 10.0])
        case ["heteroscedastic"]:
            points, weights = np.polynomial.legendre.leggauss(64)
            return _normals(weights / 2, 1 + 0.8 * points)
        case ["t3"]:
            density = 2 / (np.pi * np.sqrt(3) * (1 + _X**2 / 3) ** 2)
            return Law(density, -4 * _X / (3 + _X**2) * density)
        case ["Cauchy"]:
            density = 1 / (np.pi * (1 + _X**2))
            return Law(density, -2 * _X / (1 + _X**2) * density)
        case ["Laplace"]:
            density = 0.5 * np.exp(-_X)
            return Law(density, -density)
    raise ValueError(name)


def _normals(shares: Iterable[float], widths: Iterable[float]) -> Law:
    """A mixture of normals around 0."""
    density, derivative = np.zeros_like(_X), np.zeros_like(_X)
    for share, width in zip(shares, widths, strict=True):
        part = share / (width * np.sqrt(2 * np.pi)) * np.exp(-0.5 * (_X / width) ** 2)
        density, derivative = density + part, derivative - _X / width**2 * part
    return Law(density, derivative)
