"""Scales of residuals: each gives the next sigma from the residuals and the last one."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp
from scipy.stats import norm

import blendloss as bl

Scale = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def mad(residuals: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """The median of |r|, about 0 and not about the median of r, over that of a standard normal."""
    return tfp.stats.percentile(tf.abs(residuals), 50.0, interpolation="midpoint") / norm.ppf(0.75)


def concomitant(threshold: float, mean: float = 1.0) -> Scale:
    """The sigma whose psi(r / sigma)^2 has the wanted mean, psi being Huber's; one step of its fixed point.

    With the same threshold in the coefficients it minimizes sigma (sum rho(r / sigma) + n mean / 2) together with them
    (Huber's proposal 2). Owen's choice, and scikit-learn's, is a mean of 1.
    """
    penalty = bl.losses.Huber(threshold)

    def scale(residuals: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        return sigma * tf.sqrt(tf.reduce_mean(penalty.slope(residuals / sigma) ** 2) / mean)

    return scale


def proposal_2(threshold: float, observations: int, coefficients: int) -> Scale:
    """Huber's: the mean is that of a normal law, for as many degrees of freedom as the coefficients leave."""
    k = threshold
    inside = norm.cdf(k) - norm.cdf(-k) - 2 * k * norm.pdf(k)  # E min(|z|, k)^2, the part within k
    return concomitant(k, (1 - coefficients / observations) * (inside + 2 * k**2 * norm.cdf(-k)))
