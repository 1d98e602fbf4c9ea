"""One fit: data, penalty, scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.huber1981_regression import data as sources
from papers.huber1981_regression.config import Config
from papers.huber1981_regression.data import Data
from papers.huber1981_regression.fit import Method, alternated, stationary, vertex, weights_of
from papers.huber1981_regression.scales import concomitant, mad, proposal_2

SOURCES = {"stack loss": sources.stack_loss, "Engel": sources.engel, "contaminated": sources.contaminated}
KINKED = (bl.losses.AbsoluteError, bl.losses.Quantile)


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    source, name = arm.split(": ")
    data = SOURCES[source]()
    method = _method(config, source, name, data)
    coefficients, sigma = alternated(data, method, config)
    if isinstance(method.penalty, KINKED):
        coefficients, margin = vertex(data, method.penalty, coefficients)
        optimum = {"margin": margin}
    else:
        optimum = stationary(data, method, coefficients, sigma)._asdict()
    found = {"coefficients": coefficients.tolist(), "sigma": sigma, **optimum}
    return {**found, **(_by_day(data, method, found) if source == "stack loss" else {"r squared": _score(data, found)})}


def _method(config: Config, source: str, name: str, data: Data) -> Method:
    if name.startswith("q = "):
        return Method(bl.losses.Quantile(float(name.removeprefix("q = "))), mad)
    if source == "contaminated" and name == "Huber":
        return Method(bl.losses.Huber(config.epsilon), concomitant(config.epsilon), config.alpha)
    huber = bl.losses.Huber(config.huber)
    return {
        "OLS": Method(bl.losses.SquaredError(), mad),
        "Huber": Method(huber, mad),
        "Huber, proposal 2": Method(huber, proposal_2(config.proposal_2, *data.x.shape)),
        "bisquare": Method(bl.losses.Tukey(config.bisquare), mad),
        "LAD": Method(bl.losses.AbsoluteError(), mad),
    }[name]


def _by_day(data: Data, method: Method, found: dict[str, Any]) -> dict[str, Any]:
    """Residuals, and the weights of a penalty that has them, relative to that of a small residual."""
    residuals = data.x @ np.array(found["coefficients"]) - data.y
    by_day = {"residuals": np.round(residuals, 8).tolist()}
    if isinstance(method.penalty, KINKED):
        return by_day
    small = tf.constant(1e-9, tf.float64)
    weights = weights_of(method.penalty, tf.constant(residuals / found["sigma"]), small)
    return {**by_day, "weights": np.round(weights / weights_of(method.penalty, small, small), 8).tolist()}


def _score(data: Data, found: dict[str, Any]) -> float:
    """1 - residual over total sum of squares, of all observations."""
    residuals = data.x @ np.array(found["coefficients"]) - data.y
    return float(1 - np.sum(residuals**2) / np.sum((data.y - data.y.mean()) ** 2))
