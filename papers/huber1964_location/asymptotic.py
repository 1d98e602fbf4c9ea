"""Asymptotic variances of location M-estimates, from the slope psi of a penalty."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from blendloss import losses

#: How much wider the contaminating normal is.
WIDTH = 3.0
_Z = (np.arange(1 << 16) + 0.5) * (9.0 / (1 << 16))
_P = np.exp(-0.5 * _Z**2) / np.exp(-0.5 * _Z**2).sum()
# Where contamination may lie: everywhere, and so far out that an unbounded psi is seen to be.
_X = np.concatenate([np.linspace(0, 20, 4001), np.geomspace(20, 1e15, 400)])


class Asymptotics:
    """The variances n Var of the estimate of location by `penalty`; the scale is known.

    They are E psi^2 / (E psi')^2. By Stein's lemma E psi'(r) = E r psi(r) / w^2 for r ~ N(0, w^2), where psi may jump.
    """

    def __init__(self, penalty: losses.Penalty) -> None:
        self._narrow, self._wide = (_moments(penalty, width) for width in (1.0, WIDTH))
        x = tf.constant(_X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            slope = penalty.slope(x)
        curvature = tape.gradient(slope, x, unconnected_gradients="zero")
        self._squares, self._curvatures = slope.numpy() ** 2, curvature.numpy()

    def variance(self, share: float) -> float:
        """Under (1 - share) N(0, 1) + share N(0, 9)."""
        square, curvature = (1 - share) * self._narrow + share * self._wide
        return float(square / curvature**2)

    def worst(self, share: float) -> float:
        """The largest under (1 - share) N(0, 1) + share H over all symmetric H; infinite where psi is unbounded.

        With a = E psi^2 and b = E psi', b^2 / a is the maximum over m of 2 m b - m^2 a. That is linear in H and concave
        in m, so that the least of b^2 / a is the maximum over m of the least at one place x of all contamination.
        """
        a, b = (1 - share) * self._narrow

        def precision(m: float) -> float:
            return 2 * m * b - m**2 * a + share * float(np.min(2 * m * self._curvatures - m**2 * self._squares))

        best = precision(argmax(precision, 0.0, b / a))
        return float(1 / best) if best > 1e-9 else math.inf


def _moments(penalty: losses.Penalty, width: float) -> np.ndarray:
    """E psi^2 and E psi' under N(0, width^2)."""
    psi = penalty.slope(tf.constant(width * _Z)).numpy()
    return np.array([_P @ psi**2, _P @ (_Z * psi) / width])


def relative_variance(penalty: losses.Penalty, share: float) -> float:
    """Var rho / (E rho)^2 under the mixture: n times that of the mean of rho."""
    narrow, wide = (penalty.value(tf.constant(width * _Z)).numpy() for width in (1.0, WIDTH))
    mean, square = ((1 - share) * (_P @ narrow**power) + share * (_P @ wide**power) for power in (1, 2))
    return float(square / mean**2 - 1)


def bound(share: float) -> float:
    """The least variance of any estimate under the mixture: 1 / Fisher's information."""
    r = WIDTH * _Z
    parts = [(1 - share, 1.0), (share, WIDTH)]
    density = sum(p / w * np.exp(-0.5 * (r / w) ** 2) for p, w in parts)
    slope = sum(p / w**3 * r * np.exp(-0.5 * (r / w) ** 2) for p, w in parts)
    return float(density.sum() / (slope**2 / density).sum())


def argmax(function: Callable[[float], float], low: float, high: float) -> float:
    """Where `function`, of one maximum, has it in [low, high]: golden section."""
    golden = (math.sqrt(5) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    at_a, at_b = function(a), function(b)
    for _ in range(44):  # to 1e-9 of the interval; the maximum itself is flat
        if at_a > at_b:
            high, b, at_b = b, a, at_a
            a = high - golden * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + golden * (high - low)
            at_b = function(b)
    return (low + high) / 2
