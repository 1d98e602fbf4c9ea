"""Intervals and tests from resampled groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from blendloss._advice.sums import Moments


class Estimate(NamedTuple):
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float


def draw_resamples(groups: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """The count of each group in each resample, `[resamples, groups]`. Times sums by group, it gives resampled sums."""
    return random.multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(float)


def interval(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of resampled `values` `[B, ...]`: its lower and upper ends, `[...]`."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def can_be_best(found: Moments, again: Moments, level: float) -> np.ndarray:
    """Which losses the data cannot tell from the best blend, `[K]` bool.

    Loss k alone is the best blend if no other loss improves it: s_j = b_j - A_jk b_k / A_kk <= 0 for all j. The data
        tell
    them apart if the largest s_j, divided by its standard error, exceeds the quantile (1 + level) / 2 of the largest
    deviation among resamples. A percentile interval cannot show this, because no resample has an efficiency above 1.
    """
    slack, slack_again = (_slack(one) for one in (found, again))
    spread = slack_again.std(axis=0)
    certain = np.where(spread > 0, spread, np.inf)
    deviation = ((slack_again - slack) / certain).max(axis=-1)
    largest: np.ndarray = (slack[0] / certain).max(axis=-1)
    usable = found.curvature[0] > 0
    return usable & (largest <= np.quantile(deviation, (1 + level) / 2, axis=0))


def _slack(found: Moments) -> np.ndarray:
    """s_j for each k, `[B, k, j]`, in units of loss j."""
    size = np.sqrt(np.diagonal(found.second, axis1=1, axis2=2))
    size = np.where(size > 0, size, 1)
    cosine = found.second / (size[:, :, np.newaxis] * size[:, np.newaxis, :])
    slope = found.curvature / size
    slack = slope[:, np.newaxis, :] - cosine * slope[:, :, np.newaxis]
    own = np.arange(slack.shape[1])
    slack[:, own, own] = 0
    return np.asarray(slack)


def largest_deviation(value: np.ndarray, again: np.ndarray) -> float:
    """The p-value of E value = 0 for all of `value` `[M]`, by the largest |value| / its standard error.

    `again` `[B, M]` are resampled values. Their deviations from `value` estimate its deviation from its expectation
    (Westfall and Young's max T). The p-value is at least 1 / (B + 1).
    """
    spread = again.std(axis=0)
    there = spread > 1e-9 * (1e-300 + np.abs(again).max(axis=0))
    if not there.any():
        return 1.0
    statistic = (np.abs(value[there]) / spread[there]).max()
    deviation = (np.abs(again[:, there] - value[there]) / spread[there]).max(axis=1)
    return float((1 + np.count_nonzero(deviation >= statistic)) / (1 + len(again)))
