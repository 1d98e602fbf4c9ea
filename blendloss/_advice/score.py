"""The score of the noise, -p'/p, estimated from the residuals, and the slopes to compare with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._advice.bootstrap import interval
from blendloss._advice.data import Data
from blendloss._advice.sums import Moments, solve_blend
from blendloss.losses import Penalty

_REACH, _POINTS = 5.0, 401
_WIDEST, _CELLS = 7.0, 700  # kernels at the ends need residuals beyond the drawn range
_ENOUGH = 20.0  # the score is drawn where at least this many residuals are within a kernel's width


class ScoreCurve(NamedTuple):
    """The curves of the picture, over residuals in units of their scale.

    Args:
        u: (r - location) / scale, `[M]`.
        score: -p'/p at u, `[M]`; NaN where there are too few residuals.
        low: the lower end of the score's pointwise interval, `[M]`.
        high: its upper end, `[M]`.
        blend: the slope of the best blend, the projection of the score on the cone of the losses' slopes, `[M]`.
        slopes: the slope of each loss by name, scaled to be closest to the score, `[M]` each.
    """

    u: np.ndarray
    score: np.ndarray
    low: np.ndarray
    high: np.ndarray
    blend: np.ndarray
    slopes: dict[str, np.ndarray]


def score_curve(
    losses: Mapping[str, Penalty], u: np.ndarray, data: Data, counts: np.ndarray, found: Moments, level: float
) -> ScoreCurve:
    """The score by a Gaussian kernel of width 0.9 n^(-1/7), its band from the resamples `counts`, and all slopes."""
    points = np.linspace(-_REACH, _REACH, _POINTS)
    number = data.weight.sum() ** 2 / (data.weight**2).sum()
    cells = _histograms(u, data)
    density, derivative = _kernels(points, 0.9 * number ** (-1 / 7))
    enough = number * (cells.sum(axis=0) @ density) / data.weight.sum() >= _ENOUGH
    score, again = (-_ratio(one @ derivative, one @ density) for one in (cells.sum(axis=0), counts @ cells))
    low, high = interval(again, level)
    blank = np.where(enough, 0.0, np.nan)
    psi = np.stack([loss.slope(tf.constant(points)).numpy() for loss in losses.values()])
    square = np.diagonal(found.second[0])
    factors = np.where(square > 0, found.curvature[0] / np.where(square > 0, square, 1), 0)
    return ScoreCurve(
        points,
        score + blank,
        low + blank,
        high + blank,
        _blend(found) @ psi,
        {name: factor * slope for name, factor, slope in zip(losses, factors, psi, strict=True)},
    )


def _blend(found: Moments) -> np.ndarray:
    """The weights g of the best blend, in units with V = 1 / (b'g), `[K]`."""
    blend = solve_blend(found)
    return np.asarray(blend.weights[0] / blend.variance[0])


def _histograms(u: np.ndarray, data: Data) -> np.ndarray:
    """The weight in each cell of [-7, 7], by group, `[groups, cells]`. The cost of kernels does not depend on N."""
    inside = np.abs(u) < _WIDEST
    cell = ((u[inside] + _WIDEST) * (_CELLS / (2 * _WIDEST))).astype(int)
    place = data.group[inside] * _CELLS + np.minimum(cell, _CELLS - 1)
    return np.bincount(place, data.weight[inside], data.groups * _CELLS).reshape(data.groups, _CELLS)


def _kernels(points: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """K((x - u) / h) and its derivative in x, `[cells, points]`, up to a common factor."""
    middles = (np.arange(_CELLS) + 0.5) * (2 * _WIDEST / _CELLS) - _WIDEST
    distance = (points[np.newaxis, :] - middles[:, np.newaxis]) / width
    kernel = np.exp(-(distance**2) / 2)
    return kernel, -distance / width * kernel


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return above / np.where(below > 0, below, 1)
