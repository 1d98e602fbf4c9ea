"""Asymptotic efficiency at the standard normal law, and the tuning constant with a given efficiency."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import tensorflow as tf

from blendloss._internal import checks

Slope = Callable[[tf.Tensor], tf.Tensor]

# For a slope that grows like r, residuals beyond 9 standard deviations add less than 1e-17 of either expectation.
_REACH, _CELLS = 9.0, 1 << 14
_LOG_STEP = math.log(10) / 10
_LOG_CANDIDATES = [n * _LOG_STEP for n in range(20, -21, -1)]


@cache
def normal_quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Midpoints of [0, 9] and their probabilities under |N(0, 1)|. Half of the line is enough for an odd slope."""
    points = (np.arange(_CELLS) + 0.5) * (_REACH / _CELLS)
    weights = np.exp(-0.5 * points**2)
    return points, weights / weights.sum()


def efficiency_at_normal(slope: Slope) -> float:
    """(E psi')^2 / E psi^2 for r ~ N(0, 1), where psi is `slope`.

    By Stein's lemma E psi'(r) = E r psi(r), even if psi has jumps, so only psi is needed. The error of the midpoint
    rule is below 1e-7 for smooth and kinked slopes, and below 1e-3 for a jump inside a cell.

    Args:
        slope: psi, an odd function, float64 `[N]` -> `[N]`.

    Returns:
        The efficiency, in [0, 1]. It is 0 if psi is 0 almost everywhere, or if E psi^2 overflows.
    """
    points, weights = normal_quadrature()
    psi = np.asarray(slope(tf.constant(points)))
    with np.errstate(over="ignore"):
        variance = weights @ psi**2
    if variance == 0 or not np.isfinite(variance):
        return 0.0
    return float((weights @ (points * psi)) ** 2 / variance)


def tuning_constant(slope_of: Callable[[float], Slope], efficiency: float, class_name: str) -> float:
    """The largest constant c in [0.01, 100] at which `slope_of(c)` has the given efficiency.

    A search down a logarithmic grid brackets it, and the Illinois variant of false position refines it. If several
    constants have the efficiency, the largest is returned: it is closest to least squares.

    Args:
        slope_of: a function from a constant to its slope.
        efficiency: the efficiency to reach, in (0, 1).
        class_name: the name in the error message.

    Returns:
        The constant, to about 12 digits.

    Raises:
        ValueError: if no constant in the range has this efficiency.
    """
    efficiency = checks.between("efficiency", efficiency, 0.0, 1.0)

    def excess(log_constant: float) -> float:
        return efficiency_at_normal(slope_of(math.exp(log_constant))) - efficiency

    seen: list[float] = []
    for log_constant in _LOG_CANDIDATES:
        seen.append(excess(log_constant))
        if len(seen) > 1 and (seen[-1] < 0) != (seen[-2] < 0):
            return math.exp(_root(excess, log_constant, log_constant + _LOG_STEP, seen[-1], seen[-2]))
    low, high = min(seen) + efficiency, max(seen) + efficiency
    raise ValueError(
        f"`efficiency` must lie between {low:.4g} and {high:.4g} for {class_name}. Received: efficiency={efficiency!r}"
    )


def _root(function: Callable[[float], float], a: float, b: float, f_a: float, f_b: float) -> float:
    """A sign change of `function` in [a, b]. The value at an end that is kept twice is halved, so that it converges."""
    kept = 0
    for _ in range(60):
        c = (a * f_b - b * f_a) / (f_b - f_a)
        f_c = function(c)
        if f_c == 0 or abs(b - a) < 1e-12:
            return c
        if (f_c < 0) == (f_a < 0):
            a, f_a, f_b, kept = c, f_c, f_b / 2 if kept == 1 else f_b, 1
        else:
            b, f_b, f_a, kept = c, f_c, f_a / 2 if kept == 2 else f_a, 2
        if abs(f_c) < 1e-13:
            return c
    return (a + b) / 2
