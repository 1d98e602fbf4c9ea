"""`compare_losses`: which loss suits given residuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from blendloss._advice import traits
from blendloss._advice.bootstrap import Estimate, can_be_best, draw_resamples, interval
from blendloss._advice.centre import Frame, find_frame
from blendloss._advice.comparison import LossComparison
from blendloss._advice.data import Data, validate_data
from blendloss._advice.score import score_curve
from blendloss._advice.sums import Moments, moments, solve_blend
from blendloss._advice.traits import Finding
from blendloss._advice.words import Verdict, advice, code
from blendloss._internal import checks
from blendloss._solvers.least_variance import LeastVariance
from blendloss.losses import Penalty, m_estimators

_FEW_GROUPS = 30
_TIED = 0.02  # of the weight on one value
_STANDARD_ERRORS = 3


def compare_losses(
    residuals: Any = None,
    *,
    y_true: Any = None,
    y_pred: Any = None,
    losses: Mapping[str, Penalty] | None = None,
    sample_weight: Any = None,
    groups: Any = None,
    block: int | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> LossComparison:
    """Says which loss suits these residuals, and how certain that is.

    For y = f(x) + e, an estimate with the slope psi has the variance V = A / b^2 with A = E psi^2 and b = E psi', up to
    a factor that depends only on the inputs. The efficiency of a loss is V(best blend) / V(loss): the share of the
    examples that the best blend of all `losses` needs for the same precision (see `gates.ScoreMatching`).

    The residuals may come from any model. Use examples that the model was not fitted to, because residuals of an
    overfitted model are smaller than the noise. They are taken in units u = (r - m) / c:

    - c = 1.4826 median |r - median r| is the unit of the losses: `Huber(1.345)` bends at 1.345 c.
    - m is the location that the best blend estimates, sum w psi_g(u) = 0. A model without an intercept, or with a bias
      on new examples, is therefore judged by the noise around its bias, which is reported. A bias that varies with x
      remains in the residuals.

    The intervals are bootstrap intervals with fixed c, m and bandwidth of E psi'. The bootstrap resamples rows,
    `groups` of rows, or blocks of consecutive rows. The ends are percentiles. The upper end is at least as far from the
    value as the lower end, and is 1 if the data cannot tell the loss from the best blend. V is that of independent
    noise even if rows are dependent: groups change only the intervals.

    Args:
        residuals: r = y_pred - y_true, `[N]` or `[N, 1]`, at least 20 numbers in any array. None if `y_true` is given.
        y_true: the targets, `[N]` or `[N, 1]`. None if `residuals` are given.
        y_pred: the predictions, `[N]` or `[N, 1]`. Required with `y_true`. With `residuals` they are optional, and show
            whether |r| depends on the prediction.
        losses: penalties by name, with thresholds in units of c. None is `losses.m_estimators()`.
        sample_weight: the weight of each row, as in training, `[N]`. Rows with weight 0 are left out.
        groups: a label for each row, `[N]`, at least 10 different ones. Rows with the same label belong together, such
            as those of a patient, a day or a device.
        block: the number of consecutive rows that are resampled together, if neighbours are dependent.
        level: the level of the intervals, in (0, 1).
        resamples: the number of resamples, at least 100.
        seed: the seed of the resamples, an integer of at least 0. The same seed gives the same result.

    Returns:
        A `LossComparison`; `print` shows it.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of range, or if residuals are missing, infinite, too few, or half of them
            equal.

    Example:
        >>> import numpy as np, blendloss as bl
        >>> found = bl.compare_losses(np.random.default_rng(0).normal(size=5000))
        >>> found.best_single, found.code.splitlines()[2]
        ('squared', 'loss = bl.losses.SquaredError()')
        >>> found.findings["symmetry"].found
        False

    References:
        Huber, "Robust Estimation of a Location Parameter" (1964), for V; Hyvarinen, "Estimation of Non-Normalized
        Statistical Models by Score Matching", JMLR 6 (2005); Efron, "Bootstrap Methods: Another Look at the Jackknife"
        (1979).
    """
    penalties = _penalties(losses)
    level = checks.between("level", level, 0.0, 1.0)
    resamples = checks.integer("resamples", resamples, minimum=100, maximum=100_000)
    random = np.random.default_rng(checks.integer("seed", seed, minimum=0))
    data = validate_data(residuals, y_true, y_pred, sample_weight, groups, block, random)
    frame, sums = find_frame(list(penalties.values()), data)
    u = (data.residual - frame.location) / frame.scale
    counts = draw_resamples(data.groups, resamples, random)
    found, again = (moments(one, len(penalties)) for one in (sums.sum(axis=0, keepdims=True), counts @ sums))
    blend = solve_blend(found)
    symmetry, apart = traits.asymmetry(list(penalties), found, again, blend.weights[0])
    scaled, gain = traits.scale_by_prediction(u, data, counts)
    efficiencies, verdict = _judge(list(penalties), found, again, blend, level)
    rows = {"rows": _describe_rows(data, frame, blend, groups is not None or block is not None)}
    features = {"tails": traits.tails(u, data, counts), "symmetry": symmetry}
    return LossComparison(
        efficiencies=efficiencies,
        blend=verdict.blend,
        weights=_by_name(penalties, blend.weights[0] * found.curvature[0]),
        best_single=verdict.best,
        location=frame.location,
        scale=frame.scale,
        findings=rows | features | ({} if scaled is None else {"scale": scaled}),
        advice=advice(verdict, symmetry.found, gain),
        code=code(penalties, losses is not None, verdict, frame.scale),
        score=score_curve(penalties, u, data, counts, found, level),
        level=level,
        rows=len(u),
    )


def _penalties(losses: Any) -> dict[str, Penalty]:
    if losses is None:
        return m_estimators()
    if not isinstance(losses, Mapping) or not all(
        isinstance(name, str) and isinstance(loss, Penalty) for name, loss in losses.items()
    ):
        raise TypeError(f"`losses` must be penalties by name. {checks.received('losses', losses)}")
    if not losses:
        raise ValueError("`losses` must not be empty. Received: {}")
    return dict(losses)


def _by_name(names: Any, values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _judge(
    names: list[str], found: Moments, again: Moments, blend: LeastVariance, level: float
) -> tuple[dict[str, Estimate], Verdict]:
    """The efficiency of each loss with its interval, and the verdict."""
    others = solve_blend(again)
    value = blend.variance[0] / blend.variances[0]
    ratio = others.variance[:, np.newaxis] / others.variances
    ratios = np.where(np.isfinite(ratio), ratio, 0)
    low, high = interval(ratios, level)
    # The blend is fitted to the residuals, so that the values are low on average: the upper end is the larger one of
    # the percentile and the basic interval.
    low = np.minimum(low, value)
    high = np.where(can_be_best(found, again, level), 1, np.minimum(np.maximum(high, 2 * value - low), 1))
    efficiencies = {name: Estimate(*map(float, ends)) for name, *ends in zip(names, value, low, high, strict=True)}
    best = int(value.argmax())
    rivals = (ratios > ratios[:, [best]]).mean(axis=0) > (1 - level) / 2
    return efficiencies, Verdict(
        blend=_efficiency_of_weights(others.weights, found, float(blend.variance[0]), level),
        best=names[best],
        single=efficiencies[names[best]],
        share=float((ratios.argmax(axis=1) == best).mean()),
        rivals=[name for name, rival in zip(names, rivals, strict=True) if rival and name != names[best]],
        level=level,
    )


def _efficiency_of_weights(weights: np.ndarray, found: Moments, variance: float, level: float) -> Estimate:
    """The efficiency of resampled weights `[B, K]` for the moments `found`."""
    above = np.einsum("bj,jk,bk->b", weights, found.second[0], weights)
    precision = np.maximum(weights @ found.curvature[0], 0) ** 2 / np.where(above > 0, above, 1)
    values = np.minimum(variance * precision, 1)
    low, high = interval(values, level)
    return Estimate(float(values.mean()), float(low), float(high))


def _describe_rows(data: Data, frame: Frame, blend: LeastVariance, grouped: bool) -> Finding:
    """A sentence on the residuals themselves."""
    number = data.weight.sum() ** 2 / (data.weight**2).sum()
    error = float(frame.scale * (blend.variance[0] / number) ** 0.5)
    said = [
        f"Rows: {len(data.residual):,} residuals of scale {frame.scale:.4g} around {frame.location:.3g} (standard "
        f"error {error:.2g})."
    ]
    shifted = abs(frame.location) > _STANDARD_ERRORS * error and not grouped
    if shifted:
        said.append("The predictions are shifted: the losses are compared around that value.")
    if grouped:
        few = ", too few for intervals that hold what they say" if data.groups < _FEW_GROUPS else ""
        said.append(f"{data.groups:,} groups are resampled{few}.")
    values, place = np.unique(data.residual, return_inverse=True)
    share = np.bincount(place, data.weight) / data.weight.sum()
    tied = share.max() > _TIED and len(data.residual) > 1 / _TIED
    if tied:
        said.append(
            f"{share.max():.0%} of them are {values[share.argmax()]:.4g}: losses with a jump there, such as the "
            "absolute error, cannot be judged."
        )
    return Finding(bool(shifted or tied), " ".join(said))
