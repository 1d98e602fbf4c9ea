"""One row per gate: the weights it must give, worked out by hand.

A gate is driven by batches of residuals, one a step, then by observations of a metric, and read under `Soft()`.
Widths of 1 / log 3 make odds of powers of 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, pi, sqrt
from typing import NamedTuple

import keras

from blendloss import gates, schedules
from blendloss.gates import families, statistics

#: A logarithm, an exponential, a sum and a quotient or product in float32: 4 units, relative to the weights' total.
ROUNDING = 4 * 2.0**-23
_WIDTH = 1 / log(3)


class Row(NamedTuple):
    id: str
    make: Callable[[], gates.Gate]
    weights: Sequence[float]
    step: int = 0
    residuals: Sequence[Sequence[float]] = ()
    metrics: Sequence[float] = ()


def _chooser() -> keras.Sequential:
    initializer = keras.initializers.Constant([[log(3), 0.0], [0.0, 0.0]])
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(2, kernel_initializer=initializer)])


GATES = [
    Row("fixed", lambda: gates.Fixed([0.25, 0.75]), [0.25, 0.75]),
    Row("fixed-total-of-11", lambda: gates.Fixed([1, 10]), [1, 10]),
    Row("fixed-zero", lambda: gates.Fixed([0, 3, 0]), [0, 3, 0]),
    Row("manual", lambda: gates.Manual(), [1, 1, 1]),
    Row("manual-initial", lambda: gates.Manual([0.25, 0, 3]), [0.25, 0, 3]),
    Row("scheduled-start", lambda: gates.Scheduled(schedules.linear(0, 2, steps=8)), [1, 0, 0], step=0),
    Row("scheduled-quarter", lambda: gates.Scheduled(schedules.linear(0, 2, steps=8)), [0.75, 0.25, 0], step=1),
    Row("scheduled-between", lambda: gates.Scheduled(schedules.linear(0, 2, steps=8)), [0, 0.5, 0.5], step=6),
    Row("scheduled-end", lambda: gates.Scheduled(schedules.linear(0, 2, steps=8)), [0, 0, 1], step=9),
    Row("scheduled-switch", lambda: gates.Scheduled(schedules.switch_at(5)), [0, 1], step=5),
    Row("scheduled-vector", lambda: gates.Scheduled(schedules.linear([8, 0], [0, 4], steps=4)), [6, 1], step=1),
    Row("learned", lambda: gates.Learned(), [0.5, 0.5]),
    Row("learned-initial", lambda: gates.Learned([log(3), 0.0]), [0.75, 0.25]),
    Row("exponential-family", lambda: gates.ExponentialFamily([0.5, 1.0, 2.0]), [0.5, 1, 2]),
    Row("exponential-family-default", lambda: gates.ExponentialFamily(), [1, 1, 1]),
    Row(  # exp(-r^2) / sqrt(pi) against exp(-|r / 5| / 2) / (5 * 4), at r = 2
        "mixture",
        lambda: gates.Mixture([1.0, 5.0]),
        [1 / (1 + sqrt(pi) * exp(3.8) / 20), 1 / (1 + 20 * exp(-3.8) / sqrt(pi))],
    ),
    Row("bayesian-dirichlet", lambda: gates.Bayesian(families.Dirichlet([1, 3]), examples=9, seed=0), [0.25, 0.75]),
    Row(
        "bayesian-logistic-normal",
        lambda: gates.Bayesian(families.LogisticNormal([log(3), 0.0]), examples=9, seed=0),
        [0.75, 0.25],
    ),
    Row("by-residual", lambda: gates.ByResidual([1.0], width=_WIDTH), [0.25, 0.75]),
    Row("by-residual-between", lambda: gates.ByResidual([1.0, 3.0], width=_WIDTH), [0.2, 0.6, 0.2]),
    Row("by-residual-sharp", lambda: gates.ByResidual([1.0, 2.0]), [0, 1, 0]),
    Row("network", lambda: gates.Network(_chooser()), [0.75, 0.25]),
    Row("uncertainty", lambda: gates.Uncertainty(), [0.5, 0.5]),
    Row(  # 1 / (2 * 4), 1 / 4, 1 / 4 at sigma = 2
        "uncertainty-forms",
        lambda: gates.Uncertainty(["regression", "classification", "geometric"], log(4)),
        [0.125, 0.25, 0.25],
    ),
    Row("uncertainty-auxiliary", lambda: gates.Uncertainty("auxiliary", [0.0, -log(3)]), [0.5, 1.5]),
    Row("plateau", lambda: gates.Plateau("m", patience=2), [1, 0], metrics=[3, 2, 2]),
    Row("plateau-over", lambda: gates.Plateau("m", patience=2), [0, 1], metrics=[3, 2, 2.5, 2]),
    Row("plateau-max", lambda: gates.Plateau("m", patience=1, direction="max"), [0, 1], metrics=[3, 2]),
    Row("plateau-last", lambda: gates.Plateau("m", patience=1), [0, 1], metrics=[1, 1, 1, 1]),
    Row("plateau-cyclic", lambda: gates.Plateau("m", patience=1, cyclic=True), [1, 0], metrics=[1, 1, 1]),
    Row("threshold", lambda: gates.Threshold("m", [1.0]), [1, 0], metrics=[1.0]),
    Row("threshold-passed", lambda: gates.Threshold("m", [1.0]), [0, 1], metrics=[0.75]),
    Row("threshold-held", lambda: gates.Threshold("m", [1.0], hysteresis=0.5), [0, 1], metrics=[0.75, 1.5]),
    Row("threshold-back", lambda: gates.Threshold("m", [1.0], hysteresis=0.5), [1, 0], metrics=[0.75, 1.75]),
    Row("threshold-rising", lambda: gates.Threshold("m", [1, 2], direction="rising"), [0, 0, 1], metrics=[2.5]),
    Row(
        "residual-state-unseen",
        lambda: gates.ResidualState(statistics.MeanAbsolute(), [1.0], width=_WIDTH),
        [1, 0],
    ),
    Row(  # mean |r| = 2, one width above the threshold... in units that make the odds 3
        "residual-state",
        lambda: gates.ResidualState(statistics.MeanAbsolute(), [1.0], width=_WIDTH),
        [0.25, 0.75],
        residuals=[[-3.0, 1.0]],
    ),
    Row(  # memory 2: m = (2 * 1 / 2 + 5 / 4) / (3 / 4) = 3, two above the threshold
        "residual-state-running",
        lambda: gates.ResidualState(statistics.MeanAbsolute(), [1.0], width=_WIDTH, memory=2),
        [0.1, 0.9],
        residuals=[[5.0, -5.0], [-3.0, 1.0]],
    ),
    Row(  # x = 2: one below 3, at 2, one above 1: logits 0, 1, 1, 0 in units of log 3
        "residual-state-falling",
        lambda: gates.ResidualState(statistics.MeanAbsolute(), [3, 2, 1], width=_WIDTH, direction="falling"),
        [1 / 8, 3 / 8, 3 / 8, 1 / 8],
        residuals=[[-3.0, 1.0]],
    ),
    Row(  # short mean 1; long mean 2 + (1/2) / (3/4) (1 - 2) = 4/3: x = 3/4, 1/10 above the threshold
        "residual-state-stagnation",
        lambda: gates.ResidualState(statistics.Stagnation(ratio=2.0), [0.65], width=_WIDTH / 10, memory=1.0),
        [1 / 4, 3 / 4],
        residuals=[[-3.0, 1.0], [-1.0, 1.0]],
    ),
    Row(  # no reading before the long mean has seen its memory
        "residual-state-stagnation-early",
        lambda: gates.ResidualState(statistics.Stagnation(ratio=2.0), [0.65], width=_WIDTH / 10, memory=1.0),
        [1.0, 0.0],
        residuals=[[-3.0, 1.0]],
    ),
    Row(  # the best for normal noise: the squared error, of curvature 2
        "score-matching-unseen",
        lambda: gates.ScoreMatching(),
        [0.5, 0, 0],
    ),
    Row(
        # The first batch gives log c = -E log |Z| = (gamma + log 2) / 2. Then u^2 = 0.28 is less than the variance of
        # the median by a window of 1.25, (1 / 0.8)^2, and the slopes are collinear. Newton's step for none of half
        # above q = 0.6745, the quartile: -0.5 / (2 q phi(q)). Weights c^2 / 2 and none.
        "score-matching",
        lambda: gates.ScoreMatching(prior=0.0),
        [
            exp(0.5772156649015329 + log(2) - sqrt(2 * pi) * exp(0.6744897501960817**2 / 2) / (2 * 0.6744897501960817))
            / 2,
            0,
        ],
        residuals=[[1.0, -1.0], [1.0, -1.0]],
    ),
]
