"""Location: the error of the blended estimate in samples of 50 to 1000, next to those of the single losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.blendloss2026_score_matching.config import SINGLES, Config
from papers.blendloss2026_score_matching.population import law_named, moments
from papers.blendloss2026_score_matching.sets import CONVEX, SEVEN
from papers.blendloss2026_switching.data import noise

#: The gate's own: how many residuals of normal noise the shrinkage counts as.
PRIOR = 20.0
#: The weights follow from the residuals, and these from the weights.
_ROUNDS = 3
_HALVINGS = 16
_NORMAL = 1.4826  # the standard deviation of a normal law over the median of its size

_LOSSES = {
    "Huber alone": bl.losses.Huber.tuned(0.95),
    "Cauchy alone": bl.losses.Cauchy.tuned(0.95),
    "Tukey alone": bl.losses.Tukey.tuned(0.95),
}
_SETS = {"score matching": SEVEN, "convex": CONVEX}
#: The single losses that know the scale, and those that estimate it, as the blends do.
KNOWN = SINGLES
OWN = ("MSE alone", "MAE alone", *(f"{name}, own scale" for name in _LOSSES))
ESTIMATES = (*KNOWN, *OWN[2:], *_SETS)


def errors(config: Config, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    """The mean squared error of each estimate of the location 0, by size and law."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for place, n in enumerate(config.location_sizes):
        found[f"n={n}"] = {}
        for number, law in enumerate(config.location_laws):
            random = np.random.default_rng([seed, n, number])
            samples = config.location_samples
            y = noise(law, np.zeros(samples * n), random).reshape(samples, n)
            squares = {name: float(np.mean(each**2)) for name, each in _estimates(y, config.xla).items()}
            found[f"n={n}"][law] = {name: float(f"{square:.6g}") for name, square in squares.items()}
        progress((place + 1) / len(config.location_sizes))
    return {"squared errors": found}


def _estimates(y: np.ndarray, xla: bool) -> dict[str, np.ndarray]:
    """Of each row of `y` `[samples, n]`; the single losses know the scale, which is 1, or have the median's."""
    median = np.median(y, 1)
    one, scale = np.ones_like(median), _scale(y, median)
    found = {"MSE alone": y.mean(1), "MAE alone": median}
    for name, loss in _LOSSES.items():
        solver = _solver((loss,), xla)
        found[name] = solver(y, median, 2 * one, one, one[:, None]).numpy()
        found[f"{name}, own scale"] = solver(y, median, 2 * scale, scale, one[:, None]).numpy()
    for name, losses in _SETS.items():
        found[name] = _blended(tuple(losses.values()), y, median, xla)
    return {name: found[name] for name in ESTIMATES}


def _blended(penalties: tuple[bl.losses.Penalty, ...], y: np.ndarray, median: np.ndarray, xla: bool) -> np.ndarray:
    """The estimate by the weights that its own residuals give, from the median."""
    estimate = median
    for _ in range(_ROUNDS):
        scale = _scale(y, estimate)
        weights = _weights(penalties, tf.constant((estimate[:, None] - y) / scale[:, None]))
        estimate = _solver(penalties, xla)(y, median, scale, scale, weights).numpy()
    return estimate


def _scale(y: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    return _NORMAL * np.median(np.abs(y - estimate[:, None]), 1)


def _weights(penalties: tuple[bl.losses.Penalty, ...], u: tf.Tensor) -> tf.Tensor:
    """g of each row of residuals `u` `[samples, n]`, `[samples, K]`: as the gate's of one batch of n residuals."""
    n = u.shape[1]
    width = 1.25 * n**-0.2
    slope, up, down = (
        tf.stack([penalty.slope(u + shift) for penalty in penalties], axis=-1) for shift in (0.0, width, -width)
    )
    share = n / (n + PRIOR)
    normal_second, normal_curvature = moments(list(penalties), law_named("Gaussian"), 1.0)
    second = share * tf.matmul(slope, slope, transpose_a=True) / n + (1 - share) * normal_second
    curvature = share * tf.reduce_mean(up - down, 1) / (2 * width) + (1 - share) * normal_curvature
    return bl.gates.least_variance_weights(second, curvature)


@cache
def _solver(penalties: tuple[bl.losses.Penalty, ...], xla: bool) -> Callable[..., tf.Tensor]:
    """(y, middle, reach, scale, weights) -> where the weighted slope of each row changes its sign around `middle`."""

    def root(y: tf.Tensor, middle: tf.Tensor, reach: tf.Tensor, scale: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        low, high = middle - reach, middle + reach
        for _ in tf.range(_HALVINGS):
            half = (low + high) / 2
            u = (half[:, None] - y) / scale[:, None]
            slopes = [weights[:, k, None] * penalty.slope(u) for k, penalty in enumerate(penalties)]
            total = tf.reduce_sum(tf.add_n(slopes), 1)
            low, high = tf.where(total <= 0, half, low), tf.where(total >= 0, half, high)
        return (low + high) / 2

    rows, row = tf.TensorSpec([None, None], tf.float64), tf.TensorSpec([None], tf.float64)
    return tf.function(root, [rows, row, row, row, rows], jit_compile=xla).get_concrete_function()
