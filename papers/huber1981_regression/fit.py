"""Minimizes a penalty of a linear model's residuals, together with their scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.huber1981_regression.config import Config
from papers.huber1981_regression.data import Data
from papers.huber1981_regression.scales import Scale


class Method(NamedTuple):
    """Minimize sigma sum rho(r / sigma) + ridge / 2 |slopes|^2 over the coefficients, sigma being the scale of r."""

    penalty: bl.losses.Penalty
    scale: Scale
    ridge: float = 0.0


def alternated(data: Data, method: Method, config: Config) -> tuple[np.ndarray, float]:
    """Coefficients and scale at their joint fixed point: least squares with weights psi(u) / u, then the next sigma.

    |u| is kept above a floor that falls geometrically: of the weights of a kinked penalty, which have a pole at 0, that
    makes a homotopy from a smooth problem; for the others it ends where it begins to matter.
    """
    x, y = map(tf.constant, data)
    slopes = tf.eye(x.shape[1], dtype=x.dtype)[:-1]  # the constant is not penalized
    floors = bl.schedules.exponential(1.0, config.floor, steps=config.homotopy)

    def least_squares(weights: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        root = tf.sqrt(weights)
        rows = tf.concat([root[:, tf.newaxis] * x, tf.sqrt(method.ridge * sigma) * slopes], 0)
        targets = tf.concat([root * y, tf.zeros(len(slopes), y.dtype)], 0)
        return tf.linalg.lstsq(rows, targets[:, tf.newaxis], fast=False)[:, 0]

    @tf.function
    def fixed_point() -> tuple[tf.Tensor, tf.Tensor]:
        one = tf.ones([], x.dtype)
        coefficients = least_squares(tf.ones_like(y), one)
        sigma = method.scale(tf.linalg.matvec(x, coefficients) - y, one)
        for step in tf.range(config.steps):
            u = (tf.linalg.matvec(x, coefficients) - y) / sigma
            weights = weights_of(method.penalty, u, tf.cast(floors(step), u.dtype))
            coefficients = least_squares(weights, sigma)
            sigma = method.scale(tf.linalg.matvec(x, coefficients) - y, sigma)
        return coefficients, sigma

    coefficients, sigma = fixed_point.get_concrete_function()()
    return coefficients.numpy(), float(sigma)


def weights_of(penalty: bl.losses.Penalty, u: tf.Tensor, floor: tf.Tensor) -> tf.Tensor:
    """psi(u) / u, with |u| at least `floor`."""
    u = tf.where(u < 0, tf.minimum(u, -floor), tf.maximum(u, floor))
    return penalty.slope(u) / u


def vertex(data: Data, penalty: bl.losses.Penalty, near: np.ndarray) -> tuple[np.ndarray, float]:
    """The exact fit of as many observations as there are coefficients, those nearest to the fit `near`; its margin.

    A penalty of kinks has its minimum at such a vertex, where the slopes of the observations off the line can be
    balanced by slopes of those on it between psi(-1) and psi(1). The margin is how far within these bounds they lie, as
    a part of their distance: not negative at a minimum, positive at the only one.
    """
    x, y = data
    on = np.argsort(np.abs(x @ near - y))[: x.shape[1]]
    coefficients = np.linalg.solve(x[on], y[on])
    residuals = x @ coefficients - y
    residuals[on] = 0.0  # where psi is 0
    balance = -np.linalg.solve(x[on].T, x.T @ penalty.slope(residuals).numpy())
    low, high = penalty.slope(tf.constant([-1.0, 1.0], tf.float64)).numpy()
    return coefficients, float(min(np.min(balance - low), np.min(high - balance)) / (high - low))


class Stationary(NamedTuple):
    """What the derivatives of the objective say of a fit."""

    #: The largest cosine between psi and a column of the design: 0 at a stationary point, in whatever units.
    cosine: float
    #: The smallest eigenvalue of the Hessian, for columns of length 1: positive at a minimum.
    curvature: float
    #: The derivative of sigma (sum rho + n / 2) by sigma, over n: 0 where that is minimized too.
    of_scale: float


def stationary(data: Data, method: Method, coefficients: np.ndarray, sigma: float) -> Stationary:
    """Differentiates sigma (sum rho(r / sigma) + n / 2) + ridge / 2 |slopes|^2, the penalty called as a loss."""
    lengths = np.linalg.norm(data.x, axis=0)
    x, y = tf.constant(data.x / lengths), tf.constant(data.y)
    ridge = tf.constant([*(method.ridge / lengths[:-1] ** 2), 0.0])
    b, s = tf.constant(coefficients * lengths), tf.constant(sigma, tf.float64)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(b)
        with tf.GradientTape() as inner:
            inner.watch([b, s])
            losses = method.penalty(y / s, tf.linalg.matvec(x, b) / s)
            value = s * (tf.reduce_sum(losses) + len(data.y) / 2) + tf.reduce_sum(ridge * b**2) / 2
        by_coefficients, by_scale = inner.gradient(value, [b, s])
    hessian = outer.jacobian(by_coefficients, b, experimental_use_pfor=False)
    psi = method.penalty.slope((tf.linalg.matvec(x, b) - y) / s)
    cosine = tf.reduce_max(tf.abs(by_coefficients)) / tf.norm(psi)
    curvature = s * tf.reduce_min(tf.linalg.eigvalsh(hessian))
    return Stationary(float(cosine), float(curvature), float(by_scale) / len(data.y))
