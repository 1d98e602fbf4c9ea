"""Tests of the noise: its tails, its asymmetry, and whether its scale depends on the prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from blendloss._advice.bootstrap import largest_deviation
from blendloss._advice.centre import weighted_median
from blendloss._advice.data import Data
from blendloss._advice.sums import Moments, by_group

SIGNIFICANT = 0.01  # for each of the three traits
NEGLIGIBLE = 0.02  # robust standard deviations between the estimates of two losses
_FAR = 3.0
_FAR_IF_NORMAL = math.erfc(_FAR / math.sqrt(2))
_NORMAL_QUANTILE = 2.5758293035489004  # the quantile at 1 - SIGNIFICANT / 2
_BINS, _ROWS_A_BIN = 10, 20


class Finding(NamedTuple):
    """The result for one trait.

    Args:
        found: whether the trait is present, at the 1 % level.
        text: the result in a sentence.
    """

    found: bool
    text: str


def tails(u: np.ndarray, data: Data, counts: np.ndarray) -> Finding:
    """The share of residuals beyond 3 robust standard deviations, compared with the 0.27 % of normal noise.

    It has Wilson's interval for the effective number of independent rows, which the resamples show.
    """
    sums = by_group([data.weight, data.weight * (np.abs(u) > _FAR)], data.group, data.groups)
    share = sums[:, 1].sum() / sums[:, 0].sum()
    again = counts @ sums
    spread = (again[:, 1] / again[:, 0]).var()
    rows = data.weight.sum() ** 2 / (data.weight**2).sum()
    if spread > 0:
        rows = min(rows, share * (1 - share) / spread)
    low, high = _wilson(share, rows)
    said = f"{share:.2%} of the residuals are beyond 3 robust standard deviations (99% interval {low:.2%} to {high:.2%}"
    if low > _FAR_IF_NORMAL:
        return Finding(True, f"Tails: heavier than normal. {said}; normal noise: 0.27%).")
    if high < _FAR_IF_NORMAL:
        return Finding(True, f"Tails: lighter than normal. {said}; normal noise: 0.27%).")
    return Finding(False, f"Tails: no sign that they differ from normal ones. {said}; normal noise: 0.27%).")


def _wilson(share: float, rows: float) -> tuple[float, float]:
    """The ends of Wilson's 99 % interval for a `share` of `rows`."""
    z2 = _NORMAL_QUANTILE**2 / rows
    centre = (share + z2 / 2) / (1 + z2)
    reach = math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def asymmetry(names: Sequence[str], found: Moments, again: Moments, blend: np.ndarray) -> tuple[Finding, float]:
    """Whether the losses estimate different things: E psi_k at the blend's fit, compared with its standard error.

    m_k = E psi_k / E psi_k' is the distance of loss k's estimate of location from the blend's, to first order. If the
    noise is symmetric, all losses estimate its centre.

    Returns:
        The finding, and the distance of the lowest from the highest estimate, in robust standard deviations.
    """
    shift, shifts = (_shift(one, blend, found.curvature[0] > 0) for one in (found, again))
    p = largest_deviation(shift[0], shifts)
    low, high = int(shift[0].argmin()), int(shift[0].argmax())
    apart = float(shift[0, high] - shift[0, low])
    if p >= SIGNIFICANT:
        return Finding(False, f"Symmetry: no sign that the losses estimate different things ({_p(p)})."), apart
    size = "negligible, though certain" if apart < NEGLIGIBLE else "asymmetric noise"
    text = (
        f"Symmetry: {size} ({_p(p)}). The losses estimate different things: of y_pred - y_true, {names[low]} the "
        f"lowest and {names[high]} the highest, {apart:.2g} robust standard deviations apart."
    )
    return Finding(apart >= NEGLIGIBLE, text), apart


def _shift(one: Moments, blend: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """m_k of each sample minus the blend's, `[B, K]`; 0 for a loss that estimates nothing."""
    own = np.where(usable & (one.curvature > 0), one.slope / np.where(one.curvature > 0, one.curvature, 1), 0)
    centre = (one.slope @ blend) / (one.curvature @ blend)
    return np.where(own != 0, own - centre[:, np.newaxis], 0)


def scale_by_prediction(u: np.ndarray, data: Data, counts: np.ndarray) -> tuple[Finding | None, float]:
    """Whether |r| depends on the prediction, by the mean rank of |r| in ten bins of the predictions.

    Returns:
        The finding, or None without predictions; and the gain from weights of 1 / s^2 as a relative number of examples,
        where s is the median |r| of each bin.
    """
    if data.prediction is None:
        return None, 0.0
    size, weight = np.abs(u), data.weight
    edges = np.unique(np.quantile(data.prediction, np.linspace(0, 1, _bins(len(u)) + 1)[1:-1]))
    place = np.searchsorted(edges, data.prediction, side="right")
    there = np.unique(place)
    if len(there) < 2:
        return Finding(False, "Scale: the predictions do not vary, so that nothing is to be said of it."), 0.0
    rank = _ranks(size, weight)
    masks = [np.where(place == one, weight, 0) for one in there]
    sums = by_group([*masks, *(mask * rank for mask in masks)], data.group, data.groups)
    mean = _means(sums.sum(axis=0, keepdims=True), len(there))
    p = largest_deviation(mean[0], _means(counts @ sums, len(there), mean[0]))
    if p >= SIGNIFICANT:
        return Finding(False, f"Scale: no sign that |residual| goes with the prediction ({_p(p)})."), 0.0
    whole = weighted_median(size, weight)
    medians = np.array([weighted_median(size[place == one], weight[place == one]) / whole for one in there])
    gain = _worth_of_weights(medians, sums[:, : len(there)].sum(axis=0), len(u))
    low, high = int(medians.argmin()), int(medians.argmax())
    text = (
        f"Scale: |residual| goes with the prediction ({_p(p)}). Its median is {medians[low]:.2g} of the whole's for "
        f"predictions {_range(data.prediction[place == there[low]])}, and {medians[high]:.2g} for "
        f"{_range(data.prediction[place == there[high]])}. Weights of 1 / scale^2 are worth "
        f"{worth(gain)}."
    )
    return Finding(True, text), gain


def worth(gain: float) -> str:
    """The gain in words, as a number of examples."""
    return f"about {gain:.0%} more examples" if gain < 10 else "over 10 times as many examples"


def _worth_of_weights(scale: np.ndarray, weight: np.ndarray, rows: int) -> float:
    """E s^2 E s^-2 - 1: the variance of an estimate without weights divided by that with weights 1 / s^2, minus 1.

    If scales differ only by chance, it is about 4 var(log s), and the median of m normal |r| has var(log s) = 1.36 / m.
    This part is subtracted.
    """
    if (scale == 0).any():
        return math.inf
    share = weight / weight.sum()
    chance = 4 * 1.36 * len(scale) / rows
    return float(max(0.0, (share @ scale**2) * (share @ scale**-2) - 1 - chance))


def _bins(rows: int) -> int:
    return max(2, min(_BINS, rows // _ROWS_A_BIN))


def _ranks(size: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The rank of each, `[N]`: the share of the weight below it, plus half of the ties, minus 1/2."""
    place = np.unique(size, return_inverse=True)[1]
    of_value = np.bincount(place, weight)
    middle: np.ndarray = (np.cumsum(of_value) - of_value / 2) / of_value.sum() - 0.5
    return middle[place]


def _means(sums: np.ndarray, bins: int, empty: np.ndarray | float = 0.0) -> np.ndarray:
    weight = sums[:, :bins]
    return np.where(weight > 0, sums[:, bins:] / np.where(weight > 0, weight, 1), empty)


def _range(values: np.ndarray) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
