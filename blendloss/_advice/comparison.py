"""The result of a comparison."""

from __future__ import annotations

from os import PathLike

from blendloss._advice.record import ComparisonRecord


class LossComparison(ComparisonRecord):
    """What `compare_losses` found; `print` shows it.

    Args:
        efficiencies: V(best blend) / V(loss) of each loss by itself, by name: a value and its interval, `low` and
            `high`. 0.8 says that the loss needs 1 / 0.8 as many examples as the blend for the same precision.
        blend: the same of the best blend with its weights estimated from as many residuals as these.
        weights: what each loss has of the blend's mean curvature, g_k E psi_k', by name; they sum to 1.
        best_single: the name of the loss with the least V.
        location: the blend's estimate of where the residuals lie; 0 for a model that is not shifted.
        scale: 1.4826 times the median absolute deviation: the unit of the losses' thresholds.
        findings: what the data say about "tails", "symmetry" and, where predictions were given, "scale": whether there
            is a deviation from normal, symmetric, even noise (`found`), and a sentence (`text`); "rows" is on the data.
        advice: what to do, and how certain it is, in one sentence.
        code: Python to paste.
        score: curves over the residuals: their score with its band, and the slopes.
        level: of the intervals.
        rows: how many residuals there were, of positive weight.

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
        from blendloss._advice.report import text  # which imports rich

        return text(self)

    def plot(self, path: str | PathLike[str]) -> None:
        """Draws the score, the slopes and the efficiencies into a file, in the format of its suffix.

        Args:
            path: where; an existing file is replaced. Needs matplotlib.
        """
        from blendloss._advice.plot import plot

        plot(self, path)
