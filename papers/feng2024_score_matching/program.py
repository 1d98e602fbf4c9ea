"""The blend with the least variance, and its efficiency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from papers.feng2024_score_matching.laws import Law
from papers.feng2024_score_matching.penalties import slopes


def moments(law: Law, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A = E psi psi' and b = E psi' under `law`, `[K, K]` and `[K]`; b by parts, E psi score, in units of r."""
    psi = slopes(names, law.r / law.scale)
    return (psi * law.mass[:, np.newaxis]).T @ psi, psi.T @ (law.mass * law.score)


def weights(second: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """argmin over g >= 0 of g'Ag / 2 - b'g for A `[..., K, K]` and b `[..., K]`, in the units A_kk = 1."""
    size = np.sqrt(np.diagonal(second, axis1=-2, axis2=-1))
    scaled = second / (size[..., np.newaxis] * size[..., np.newaxis, :]) + 1e-10 * np.eye(size.shape[-1])
    root = np.linalg.cholesky(scaled)
    target = np.linalg.solve(root, (curvature / size)[..., np.newaxis])[..., 0]
    k = size.shape[-1]
    found = [nnls(one.T, aim)[0] for one, aim in zip(root.reshape(-1, k, k), target.reshape(-1, k), strict=True)]
    return np.reshape(found, size.shape) / size


def precision(second: np.ndarray, curvature: np.ndarray) -> float:
    """1 / V of the best blend: b'g at the minimum."""
    return float(curvature @ weights(second, curvature))


def efficiency(law: Law, names: Sequence[str]) -> float:
    """The precision of the best blend of `names` over Fisher's information."""
    return precision(*moments(law, names)) / law.information
