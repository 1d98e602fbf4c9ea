"""Slopes of the losses that sets are chosen from, in NumPy; a test compares them with the library's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from blendloss import losses

KINDS: dict[str, Any] = {
    "huber": losses.Huber,
    "cauchy": losses.Cauchy,
    "tukey": losses.Tukey,
    "welsch": losses.Welsch,
    "geman_mcclure": losses.GemanMcClure,
    "epsilon_insensitive": losses.EpsilonInsensitive,
}
_SLOPES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "huber": lambda u, delta: np.clip(u, -delta, delta),
    "cauchy": lambda u, scale: u / (1 + (u / scale) ** 2),
    "tukey": lambda u, c: u * np.maximum(1 - (u / c) ** 2, 0) ** 2,
    "welsch": lambda u, scale: u * np.exp(-((u / scale) ** 2)),
    "geman_mcclure": lambda u, scale: u / (1 + (u / scale) ** 2) ** 2,
    "epsilon_insensitive": lambda u, epsilon: np.sign(u) * (np.abs(u) > epsilon),
}


@cache
def penalty(name: str) -> losses.Penalty:
    """`squared`, `absolute`, `huber` (95 % efficient for normal noise), `huber_0.4` (with this threshold) ..."""
    if name == "squared":
        return losses.SquaredError()
    if name == "absolute":
        return losses.AbsoluteError()
    kind, _, threshold = name.rpartition("_")
    return KINDS[kind](float(threshold)) if kind in KINDS else KINDS[name].tuned(0.95)


def slopes(names: Sequence[str], u: np.ndarray) -> np.ndarray:
    """The slopes at `u`, along a last axis."""
    return np.stack([_slope(name, u) for name in names], axis=-1)


def _slope(name: str, u: np.ndarray) -> np.ndarray:
    if name == "squared":
        return 2 * u
    if name == "absolute":
        return np.sign(u)
    kind = name if name in KINDS else name.rpartition("_")[0]
    [threshold] = penalty(name).get_config().values()
    return _SLOPES[kind](u, threshold)
