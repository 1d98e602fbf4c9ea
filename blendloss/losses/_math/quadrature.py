"""One fixed quadrature over the real line, for densities exp(-rho) with heavy tails and kinks.

The line is cut into cells, most of them a decade long. They cover a core of width 1e-10 as well as a tail that falls as
slowly as |u|^-1.1. In a cell in which the penalties are smooth, a Gauss-Legendre rule is exact to about 1e-13. Cells
are halved until the penalties are smooth, which isolates kinks (Huber's threshold, the 0 of the absolute error).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

_ORDER = 12
POINTS, POINT_WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)
_CORE = 1e-12  # the innermost cell, [0, _CORE], is not logarithmic
_REFINED = 1e30  # beyond, only slowly falling tails have mass, and wide cells are enough for them
_FARTHEST = 1e300
_HALVINGS = 24
_TOLERANCE = 1e-11
# Penalties are clipped here, so that the table's products have no 0 * infinity.
_LARGEST = 1e200
# Where the growth of a penalty is measured: (rho(far) - rho(near)) / log(far / near).
_NEAR, _FAR = 1e100, 1e200
_STEEP = 1e30


class Penalty(Protocol):
    """A function rho of the residual."""

    def value(self, residual: tf.Tensor) -> tf.Tensor:
        """rho at `residual`."""


class Cells(NamedTuple):
    """The cells of the line, from left to right, and the quadrature rule in each.

    Args:
        knots: the ends of the M cells, `[M + 1]`, increasing.
        nodes: the n nodes of each cell, `[M, n]`, increasing.
        log_weights: `[M, n]`; the integral of f is the sum of exp(log_weights) f(nodes).
    """

    knots: np.ndarray
    nodes: np.ndarray
    log_weights: np.ndarray


def cells(penalties: Sequence[Penalty]) -> Cells:
    """Cells on both sides of 0 in which every penalty is smooth enough for the rule."""
    knots = np.concatenate([-_half(penalties, -1.0)[::-1], _half(penalties, 1.0)[1:]])
    return Cells(knots, *_rule(knots[:-1], knots[1:]))


def _half(penalties: Sequence[Penalty], sign: float) -> np.ndarray:
    """The ends of the cells on one side of 0: increasing magnitudes, `[m]`."""
    decades = round(math.log10(_REFINED / _CORE))
    inner = np.array([0.0, *np.geomspace(_CORE, _REFINED, decades + 1)])
    low, high = inner[:-1], inner[1:]
    for _ in range(_HALVINGS):
        middle = np.where(low > 0, np.sqrt(low * high), high / 2)
        rough = _find_rough(penalties, sign, low, middle, high)
        if not rough.any():
            break
        inner = np.concatenate([inner, middle[rough]])
        low, high = np.concatenate([low[rough], middle[rough]]), np.concatenate([middle[rough], high[rough]])
    outer = [_REFINED * 10.0 ** (2**n - 1) for n in range(1, 9)]  # each cell twice as wide as the last
    return np.concatenate([np.sort(inner), outer, [_FARTHEST]])


def _find_rough(
    penalties: Sequence[Penalty], sign: float, low: np.ndarray, middle: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Whether halving a cell changes the integral of some exp(-rho / rho(middle)); bool `[m]`."""
    rules = [_rule(sign * a, sign * b) for a, b in ((low, high), (low, middle), (middle, high))]
    rough = np.zeros(len(low), bool)
    for penalty in penalties:
        scale = values_at(penalty, sign * middle)[:, np.newaxis]
        scale = np.where(scale > 0, scale, 1.0)
        whole, inner, outer = (np.exp(w - values_at(penalty, u) / scale).sum(axis=1) for u, w in rules)
        rough |= np.abs(whole - inner - outer) > _TOLERANCE * (inner + outer)
    return rough


def _rule(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Increasing nodes and log weights `[M, n]` between `a` and `b` `[M]`, of one sign; in log |u|, or in u at 0."""
    low, high = np.minimum(a, b)[:, np.newaxis], np.maximum(a, b)[:, np.newaxis]
    core = (low == 0) | (high == 0)
    sign = np.where(low < 0, -1.0, 1.0)
    start, stop = (np.log(np.abs(np.where(core, sign, end))) for end in (low, high))
    half = np.where(core, high - low, stop - start) / 2
    place = np.where(core, low, start) + half * (1 + POINTS)
    nodes = np.where(core, place, sign * np.exp(np.where(core, 0.0, place)))
    return nodes, np.log(np.abs(half) * POINT_WEIGHTS) + np.where(core, 0.0, place)


def values_at(penalty: Penalty, residual: np.ndarray) -> np.ndarray:
    """rho at `residual`, float64, clipped at 1e200."""
    with tf.init_scope():  # a gate may be attached while a function is traced
        values = np.asarray(penalty.value(tf.constant(residual, tf.float64)))
    if np.isnan(values).any():
        at = residual[np.isnan(values)][0]
        raise ValueError(f"A penalty must not be NaN at a finite residual. Received: {penalty!r}, NaN at {at:g}")
    return np.minimum(values, _LARGEST)


def tail(penalty: Penalty) -> float:
    """b, where rho grows like b log |u| far out; of the two sides, the slower."""
    near, far = (values_at(penalty, np.array([-end, end])) for end in (_NEAR, _FAR))
    # A penalty clipped at both points, such as r^2, grows, too.
    growth = np.where(far < _LARGEST, (far - near) / math.log(_FAR / _NEAR), _STEEP).min()
    return float(min(max(growth, 0.0), _STEEP))
