"""The result of a comparison."""

from __future__ import annotations

from os import PathLike

from blendloss._advice.record import ComparisonRecord


class LossComparison(ComparisonRecord):
    """The result of `compare_losses`; `print` shows it.

    Args:
        efficiencies: V(best blend) / V(loss) of each single loss, by name: a `value` and its interval, `low` and
            `high`. With 0.8 the loss needs 1 / 0.8 times as many examples as the blend for the same precision.
        blend: the efficiency of the best blend if its weights are estimated from this many residuals.
        weights: each loss's share of the blend's mean curvature, g_k E psi_k', by name; the sum is 1.
        best_single: the name of the loss with the least V.
        location: the blend's estimate of the residuals' location, in their units; about 0 for an unbiased model.
        scale: 1.4826 times the median absolute deviation, in units of the residual. It is the unit of thresholds.
        findings: "tails", "symmetry" and, if predictions were given, "scale": whether the noise deviates from normal,
            symmetric noise of constant scale (`found`), and a sentence (`text`). "rows" describes the data.
        advice: what to do, and how certain it is, in one sentence.
        code: Python code to paste.
        score: curves over the residuals: their score with its band, and the slopes.
        level: the level of the intervals, in (0, 1).
        rows: the number of residuals with positive weight.

    Returns:
        The record itself.

    Example:
        >>> import numpy as np, blendloss as bl
        >>> found = bl.compare_losses(np.random.default_rng(0).standard_cauchy(size=2000))
        >>> isinstance(found, bl.LossComparison), found.best_single
        (True, 'cauchy_0.5')
    """

    __slots__ = ()

    def __str__(self) -> str:
        from blendloss._advice.report import text  # imports rich

        return text(self)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draws the score, the slopes and the efficiencies into a file, in the format of its suffix.

        Args:
            path: the file to write; an existing file is replaced. Needs matplotlib.
        """
        from blendloss._advice.plot import plot

        plot(self, path)
