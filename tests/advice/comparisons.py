"""Residuals of known laws, and comparisons of the usual losses on them."""

from __future__ import annotations

import numpy as np
from scipy import stats

import blendloss as bl

QUARTILE = stats.norm.ppf(0.75)
TWO = {"squared": bl.losses.SquaredError(), "absolute": bl.losses.AbsoluteError()}
USUAL = bl.losses.m_estimators()
STUDENT = stats.t(3)


def spread(law, n=40_001):
    """Quantiles of `law` instead of a sample, in random order: residuals without sampling error."""
    return np.random.default_rng(0).permutation(law.ppf((np.arange(n) + 0.5) / n))


def compared(residuals, losses=USUAL, resamples=200, **named):
    return bl.compare_losses(residuals, losses=losses, resamples=resamples, **named)


def draw(law, n, seed):
    return law.rvs(size=n, random_state=np.random.default_rng(seed))


def between_normal_and_laplace(n, seed=0):
    """Noise of the density exp(-|x| - x^2 / 2), whose score is sign(x) + x."""
    random = np.random.default_rng(seed)
    proposed = random.laplace(size=4 * n)
    return proposed[random.random(4 * n) < np.exp(-(proposed**2) / 2)][:n]
