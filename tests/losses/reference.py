"""Independent closed forms of every penalty in NumPy's extended precision, straight from the published formulas.

They share nothing with the library: its range (1e-4932 to 1e4932) makes the textbook formulas safe at both ends, and
where those cancel a series or another identity stands in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blendloss import losses

Wide = np.longdouble
Pair = tuple[np.ndarray, np.ndarray]


def squared_error(r, scale):
    return (r / scale) ** 2, 2 * r / scale**2


def absolute_error(r, scale):
    return abs(r) / scale, np.sign(r) / scale


def huber(r, delta):
    inside = abs(r) <= delta
    return np.where(inside, r * r / 2, delta * abs(r) - delta * delta / 2), np.clip(r, -delta, delta)


def pseudo_huber(r, delta):
    root = np.hypot(1, r / delta)
    return r * r / (1 + root), r / root


def log_cosh(r, scale):
    a = abs(r) / scale
    near = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    far = a + np.log1p(np.exp(-2 * a)) - np.log(Wide(2))
    return scale**2 * np.where(a < 1, near, far), scale * np.tanh(r / scale)


def cauchy(r, scale):
    t = (r / scale) ** 2
    return scale**2 / 2 * np.log1p(t), r / (1 + t)


def geman_mcclure(r, scale):
    t = (r / scale) ** 2
    return r * r / 2 / (1 + t), r / (1 + t) ** 2


def welsch(r, scale):
    t = (r / scale) ** 2
    return -(scale**2) / 2 * np.expm1(-t), r * np.exp(-t)


def tukey(r, scale):
    inside = abs(r) < scale
    t = np.where(inside, (r / scale) ** 2, 1)
    g = np.where(inside, (scale - abs(r)) * (scale + abs(r)) / scale**2, 0)
    return scale**2 * t * (3 - 3 * t + t * t) / 6, np.where(inside, r, 0) * g * g


def fair(r, scale):
    a = abs(r) / scale
    x = np.minimum(a, Wide("0.01"))
    series = sum((-1) ** n * x**n / n for n in range(2, 14))
    return scale**2 * np.where(a < 0.01, series, a - np.log1p(a)), r / (1 + a)


def quantile(r, quantile, scale):
    return np.maximum(-quantile * r, (1 - quantile) * r) / scale, np.where(r > 0, 1 - quantile, -quantile) * abs(
        np.sign(r)
    ) / scale


def epsilon_insensitive(r, epsilon):
    return np.maximum(abs(r) - epsilon, 0), np.where(abs(r) > epsilon, np.sign(r), 0)


def barron(r, alpha, scale):
    s = (r / scale) ** 2
    if alpha == 2:
        return s / 2, r / scale**2
    if np.isinf(alpha):
        sign = np.sign(alpha)
        return sign * np.expm1(sign * s / 2), r / scale**2 * np.exp(sign * s / 2)
    b = abs(alpha - 2)
    log = np.log1p(s / b)
    value = log if alpha == 0 else b / alpha * np.expm1(alpha / 2 * log)
    return value, r / scale**2 * np.exp((alpha / 2 - 1) * log)


_OF: dict[type, Callable[..., Pair]] = {
    losses.SquaredError: squared_error,
    losses.AbsoluteError: absolute_error,
    losses.Huber: huber,
    losses.PseudoHuber: pseudo_huber,
    losses.LogCosh: log_cosh,
    losses.Cauchy: cauchy,
    losses.GemanMcClure: geman_mcclure,
    losses.Welsch: welsch,
    losses.Tukey: tukey,
    losses.Fair: fair,
    losses.Quantile: quantile,
    losses.EpsilonInsensitive: epsilon_insensitive,
    losses.Barron: barron,
}


def value_and_slope(penalty: losses.Penalty, residual: np.ndarray) -> Pair:
    """rho and psi in extended precision; thresholds and scales (not shapes) rounded to `residual`'s dtype first."""
    round_ = residual.dtype.type
    arguments = {
        name: Wide(argument) if name in ("alpha", "quantile") else Wide(round_(argument))
        for name, argument in penalty.get_config().items()
    }
    with np.errstate(all="ignore"):
        return _OF[type(penalty)](residual.astype(Wide), **arguments)


def ulps(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|actual - expected| in units of the last place of `actual`'s dtype.

    Within a factor of 4 of the smallest normal number and below, 0 and anything of that size will do; within a factor
    of 4 of the largest and beyond, infinity will: TensorFlow's optimizer and XLA move constant factors through
    products.
    """
    limits = np.finfo(actual.dtype)
    size = np.abs(expected)
    with np.errstate(all="ignore"):
        spacing = np.spacing(np.clip(size, limits.tiny, limits.max).astype(actual.dtype)).astype(Wide)
        error = np.abs(actual.astype(Wide) - expected) / spacing
    vanished = (size < 4 * Wide(limits.tiny)) & (np.abs(actual) <= 8 * limits.tiny)
    exploded = (size > Wide(limits.max) / 4) & np.isinf(actual) & (np.sign(actual) == np.sign(expected))
    return np.where(vanished | exploded, 0, np.where(np.isnan(error), np.inf, error)).astype(np.float64)
