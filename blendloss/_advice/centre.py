"""The location of the residuals, and the units in which the losses take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from blendloss._advice.data import Data
from blendloss._advice.sums import moments, slope_sums, solve_blend
from blendloss.losses import Penalty

_CONSISTENCY = 1.482602218505602  # times the median absolute deviation: the standard deviation of normal noise
_DISTINCT = 10  # the bandwidth must cover this many different residuals
_MOST_STEPS = 20
_FARTHEST = 1e60  # float64 holds the square of its square times the number of rows


class Frame(NamedTuple):
    """u = (r - location) / scale.

    Args:
        location: the blend's estimate, in units of the residual.
        scale: 1.4826 median |r - median|, in units of the residual.
        width: the bandwidth h for E psi', in units of `scale`.
    """

    location: float
    scale: float
    width: float


def find_frame(penalties: Sequence[Penalty], data: Data) -> tuple[Frame, np.ndarray]:
    """The frame in which the best blend of `penalties` has sum w psi_g(u) = 0, and the sums of `slope_sums` in it.

    Newton's method starts from the median. Each step uses the best weights g at the current location. It stops when a
    step is below 2 % of the location's standard error. h = 0.75 n^(-1/3): in the estimate of 2 p(0), the curvature of
    the absolute error, bias and standard error then fall equally fast even if p has a kink at 0, as Laplace's law has.
    Ties make h larger.
    """
    residual, weight = data.residual, data.weight
    location = weighted_median(residual, weight)
    scale = _CONSISTENCY * weighted_median(np.abs(residual - location), weight)
    _require_scale(residual, weight, scale)
    number = weight.sum() ** 2 / (weight**2).sum()
    width = max(0.75 * number ** (-1 / 3), _reach_of_distinct(np.abs(residual - location) / scale))
    for steps in range(_MOST_STEPS):
        u = (residual - location) / scale
        sums = slope_sums(penalties, u, weight, width, data.group, data.groups)
        found = moments(sums.sum(axis=0, keepdims=True), len(penalties))
        blend = solve_blend(found)
        if not np.isfinite(blend.variance[0]):
            raise ValueError(
                "`losses` must have a positive mean curvature: none of them estimates anything from these residuals. "
                f"Received: E psi' = {found.curvature[0].tolist()}"
            )
        step = float(np.clip(blend.weights[0] @ found.slope[0], -1, 1))
        if abs(step) < 0.02 * (blend.variance[0] / number) ** 0.5 or steps == _MOST_STEPS - 1:
            break
        location += scale * step
    return Frame(float(location), float(scale), float(width)), sums


def weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """The midpoint of the two values below which half of the weight lies."""
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    ends = (np.searchsorted(below, below[-1] / 2, side=side) for side in ("left", "right"))
    low, high = (values[order[min(end, len(values) - 1)]] for end in ends)
    return float(low + (high - low) / 2)


def _require_scale(residual: np.ndarray, weight: np.ndarray, scale: float) -> None:
    if scale == 0:
        values, place = np.unique(residual, return_inverse=True)
        share = np.bincount(place, weight) / weight.sum()
        raise ValueError(
            "`residuals` must not be equal in half of the rows or more: their median absolute deviation is 0, and they "
            f"have no scale. Received: {values[share.argmax()]:g} in {share.max():.0%} of the weight"
        )
    largest = np.abs(residual).max()
    if scale < 1e-150 or largest / scale > _FARTHEST:
        raise ValueError(
            f"`residuals` must be within 1e60 of their scale, which must be at least 1e-150. Received: residuals up to "
            f"{largest:.3g} of scale {scale:.3g}"
        )


def _reach_of_distinct(distances: np.ndarray) -> float:
    """The tenth smallest different distance. It exceeds the bandwidth only if there are ties."""
    near = np.unique(np.partition(distances, min(len(distances) - 1, 50 * _DISTINCT))[: 50 * _DISTINCT])
    if len(near) < _DISTINCT:
        near = np.unique(distances)
    return float(near[min(len(near), _DISTINCT) - 1])
