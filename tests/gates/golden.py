"""One row per gate and statistic: what it must give, worked out by hand.

A gate row is driven by batches of residuals, one a step, then by observations of a metric, and read under `Soft()`.
Widths of 1 / log 3 make odds of powers of 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, pi, sqrt
from typing import NamedTuple

import keras

from blendloss import gates, schedules
from blendloss.gates import families, normalizers, regularizers, statistics

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


class StatisticRow(NamedTuple):
    id: str
    make: Callable[[], statistics.Statistic]
    residual: Sequence[float]
    value: float


class RegularizerRow(NamedTuple):
    id: str
    make: Callable[[], regularizers.Regularizer]
    shares: Sequence[Sequence[float]]
    value: float


class NormalizerRow(NamedTuple):
    """The blend of r^2 and |r|, half of each, of one residual a step; the value at the last."""

    id: str
    make: Callable[[], normalizers.Normalizer]
    residuals: Sequence[float]
    value: float


class ValuesRow(NamedTuple):
    """What a gate gives at the last of `losses`, after a training step at each of the others.

    `progress` are the losses after each of those steps' updates, for a gate that is told them; `value` is the blend's.
    """

    id: str
    make: Callable[[], gates.Gate]
    losses: Sequence[Sequence[float]]
    weights: Sequence[float]
    value: float
    progress: Sequence[Sequence[float]] = ()


class GradientsRow(NamedTuple):
    """What a gate from gradients gives in the last of some training steps, one for each of `gradients`.

    Each is `[K, D]`, the gradients of the losses in one variable of D elements. Where the method looks at them,
    `losses` are the losses' values in each step, and `jacobians` those of their residuals, `[N_k, D]` for each loss;
    what trains in the gate moves by gradient descent with `rate` after each step. `direction` is the combined gradient,
    where it is not sum_k weights_k G_k.
    """

    id: str
    make: Callable[[], gates.Gate]
    gradients: Sequence[Sequence[Sequence[float]]]
    weights: Sequence[float]
    losses: Sequence[Sequence[float]] = ()
    jacobians: Sequence[Sequence[Sequence[Sequence[float]]]] = ()
    rate: float = 0.0
    direction: Sequence[float] | None = None


class FamilyRow(NamedTuple):
    """The divergence of the distribution with `parameters` from the prior."""

    id: str
    make: Callable[[], families.Family]
    parameters: dict[str, Sequence[float]]
    value: float


def _chooser() -> keras.Sequential:
    initializer = keras.initializers.Constant([[log(3), 0.0], [0.0, 0.0]])
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(2, kernel_initializer=initializer)])


GATES = [
    Row("fixed", lambda: gates.Fixed([0.25, 0.75]), [0.25, 0.75]),
    Row("fixed-total-of-11", lambda: gates.Fixed([1, 10]), [1, 10]),
    Row("fixed-zero", lambda: gates.Fixed([0, 3, 0]), [0, 3, 0]),
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
]
STATISTICS = [
    StatisticRow("mean-absolute", lambda: statistics.MeanAbsolute(), [1, -3, 0.5, 0], 1.125),
    StatisticRow("quantile-absolute", lambda: statistics.QuantileAbsolute(0.25), [1, -3, 8, 2], 1.75),
    StatisticRow(
        "quantile-absolute-default", lambda: statistics.QuantileAbsolute(), [-10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0], 9
    ),
    StatisticRow("quantile-absolute-one", lambda: statistics.QuantileAbsolute(0.7), [-3], 3),
    StatisticRow("kurtosis-coin", lambda: statistics.Kurtosis(), [-1, 1, -1, 1], 1),
    StatisticRow("kurtosis-rare", lambda: statistics.Kurtosis(), [0, 0, 0, 1], 7 / 3),
    StatisticRow("outlier-share", lambda: statistics.OutlierShare(), [0, 1, -1, 0.5, 100], 0.2),
    StatisticRow("outlier-share-cutoff", lambda: statistics.OutlierShare(1.0), [0, 1, -1, 3, -3], 0.4),
    StatisticRow("outlier-share-no-spread", lambda: statistics.OutlierShare(), [2, 2, 2, 2.5], 0.25),
    StatisticRow("stagnation", lambda: statistics.Stagnation(), [1, -3], 2),
]
REGULARIZERS = [
    RegularizerRow("entropy", lambda: regularizers.Entropy(2.0), [[0.5, 0.5], [1.0, 0.0]], -log(2)),
    RegularizerRow("entropy-quarter", lambda: regularizers.Entropy(-1), [[0.25, 0.75]], log(4) - 0.75 * log(3)),
    RegularizerRow("kl", lambda: regularizers.KL([0.25, 0.75], 3), [[0.25, 0.75], [1.0, 0.0], [0.0, 1.0]], log(16 / 3)),
    RegularizerRow("load-balance", lambda: regularizers.LoadBalance(0.5), [[0.5, 0.5], [1.0, 0.0]], 0.125),
    RegularizerRow("load-balance-one", lambda: regularizers.LoadBalance(1), [[0.0, 1.0, 0.0]], 2),
    RegularizerRow(  # f = (1/2, 1/2, 0), P = (1/2, 3/8, 1/8)
        "switch-load-balance",
        lambda: regularizers.SwitchLoadBalance(2),
        [[0.75, 0.25, 0.0], [0.25, 0.5, 0.25]],
        6 * 7 / 16,
    ),
]
NORMALIZERS = [
    NormalizerRow("initial-value", lambda: normalizers.InitialValue(), [4.0, 2.0], (4 / 16 + 2 / 4) / 2),
    NormalizerRow("initial-value-0", lambda: normalizers.InitialValue(), [0.0, 4.0, 2.0], (4 / 16 + 2 / 4) / 2),
    NormalizerRow(  # means (25/4 + 4/2) / (3/4) and (5/4 + 2/2) / (3/4)
        "running-mean", lambda: normalizers.RunningMean(memory=2), [5.0, 2.0], (4 / 11 + 2 / 3) / 2
    ),
    NormalizerRow(  # squares (7^4 / 4 + 1 / 2) / (3 / 4) and (7^2 / 4 + 1 / 2) / (3 / 4)
        "root-mean-square",
        lambda: normalizers.RootMeanSquare(memory=2),
        [7.0, 1.0],
        (1 / sqrt(801) + 1 / sqrt(17)) / 2,
    ),
    NormalizerRow(  # exp(-r^2) integrates to sqrt(pi), exp(-|r/2|) to 2 * 2
        "likelihood", lambda: normalizers.Likelihood([1.0, 2.0]), [2.0], (4 + log(pi) / 2 + 2 / 2 + log(4)) / 2
    ),
]
FAMILIES = [
    FamilyRow(  # the density 2 x from 1: the integral of 2 x log 2 x
        "dirichlet", lambda: families.Dirichlet(1.0), {"log_concentration": [log(2), 0.0]}, log(2) - 1 / 2
    ),
    FamilyRow(  # (2 / 2)^2 / 2, and log(1 / 2) + (2^2 - 1) / 2
        "logistic-normal",
        lambda: families.LogisticNormal(scale=2.0),
        {"mean": [2.0, 0.0], "log_scale": [log(2), log(4)]},
        1 / 2 + log(1 / 2) + 3 / 2,
    ),
]
SCALARIZATIONS = [
    ValuesRow("imtl-l", lambda: gates.IMTLL(), [[1, 4]], [1, 1], 5),
    ValuesRow("imtl-l-initial", lambda: gates.IMTLL([0.0, log(2)]), [[1, 3]], [1, 2], 7 - log(2)),
    ValuesRow("logarithm", lambda: gates.Logarithm(epsilon=0), [[0.5, 4]], [2, 1 / 4], log(2)),
    ValuesRow("logarithm-weights", lambda: gates.Logarithm([3, 0]), [[0.5, 4]], [6, 0], -3 * log(2)),
    ValuesRow("logarithm-epsilon", lambda: gates.Logarithm(epsilon=1), [[0, 3]], [1, 1 / 4], log(4)),
    ValuesRow("geometric-mean", lambda: gates.GeometricMean(), [[1, 4]], [1, 1 / 4], 2),
    ValuesRow("geometric-mean-three", lambda: gates.GeometricMean(), [[1, 4, 1 / 4]], [1 / 3, 1 / 12, 4 / 3], 1),
    ValuesRow("geometric-mean-zero", lambda: gates.GeometricMean(), [[0, 1]], [0, 0], 0),
    # Focused on the first: sqrt(4 * 9) * 4.
    ValuesRow("geometric-mean-focus", lambda: gates.GeometricMean([1.5, 0.5]), [[4, 9]], [9, 4 / 3], 24),
    ValuesRow("tchebycheff", lambda: gates.Tchebycheff(), [[1, 2]], [0, 1 / 2], 1),
    ValuesRow(  # the largest of 0.2 * 0.9, 0.3 * 5, 0.5 * 0.2
        "tchebycheff-ideal",
        lambda: gates.Tchebycheff([0.2, 0.3, 0.5], [0.1, -1, 0.05]),
        [[1, 4, 0.25]],
        [0, 0.3, 0],
        1.5,
    ),
    ValuesRow(  # y / mu = 0, log 3
        "smooth-tchebycheff", lambda: gates.SmoothTchebycheff(0.5), [[0, log(3)]], [1 / 8, 3 / 8], 0.5 * log(4)
    ),
    ValuesRow(  # y = 0, log(3) / 2
        "smooth-tchebycheff-ideal",
        lambda: gates.SmoothTchebycheff(0.5, [2, 1], [1, 0]),
        [[1, log(3) / 2]],
        [1 / 2, 3 / 4],
        log(2),
    ),
    ValuesRow(
        "smooth-tchebycheff-torchjd-0.18",
        lambda: gates.SmoothTchebycheff(1.0, [0.2, 0.3, 0.5], [0.1, -1, 0.05]),
        [[1, 4, 0.25]],
        [0.0352949207706433, 0.198185641382332, 0.0814532957695051],
        1.91457830047877,
    ),
    ValuesRow(  # the logarithms' sum
        "smooth-tchebycheff-warm-up",
        lambda: gates.SmoothTchebycheff(1.0, warmup=1, averaging=2),
        [[9, 9], [1, 2], [3, 4], [2, 4]],
        [1 / 2, 1 / 4],
        log(8),
    ),
    ValuesRow(  # over (2, 3): y = log 1, log 3; twice the shares 1/4, 3/4 over the losses
        "smooth-tchebycheff-multi-task",
        lambda: gates.SmoothTchebycheff(1.0, warmup=1, averaging=2),
        [[9, 9], [1, 2], [3, 4], [5, 5], [2, 9]],
        [1 / 4, 1 / 6],
        2 * log(4),
    ),
    ValuesRow(  # u = (1, 1) / sqrt(2), d_1 = d_2 = sqrt(2), beside it (1, -1)
        "pbi", lambda: gates.PBI([1, 1], 1.0), [[2, 0]], [sqrt(2), 0], 2 * sqrt(2)
    ),
    ValuesRow(  # d_1 = 2.5 / sqrt(2), beside it (-3/4, 3/4)
        "pbi-negative", lambda: gates.PBI([1, 1]), [[0.5, 2]], [-2 * sqrt(2), 3 * sqrt(2)], 5 * sqrt(2)
    ),
    ValuesRow("pbi-ideal", lambda: gates.PBI([2, 2], 1.0, [1, 1]), [[3, 1]], [sqrt(2), 0], 2 * sqrt(2)),
    ValuesRow("pbi-on-the-direction", lambda: gates.PBI([3, 4]), [[6, 8]], [3 / 5, 4 / 5], 10),
    ValuesRow(  # cos = 3/5: 3 - 5 * 3/5; 1 - (1 - 9/25) and 12/25
        "cosmos", lambda: gates.COSMOS([1, 0], 5.0), [[3, 4]], [9 / 25, 12 / 25], 0
    ),
    ValuesRow("cosmos-aligned", lambda: gates.COSMOS([0.5, 0.5], 1.0), [[1, 1]], [0.5, 0.5], 0),
    ValuesRow("cosmos-zero", lambda: gates.COSMOS([0.5, 0.5], 1.0), [[0, 0]], [0.5, 0.5], 0),
    ValuesRow(
        "cosmos-torchjd-0.18",
        lambda: gates.COSMOS([0.5, 0.5], 8.0),
        [[0.5, 2]],
        [-1.43692519690363, 0.984231299225907],
        -5.60994340570035,
    ),
]
_FALLING = [[1, 4, 0.25], [0.9, 3.5, 0.26], [0.7, 3.4, 0.2], [0.71, 2, 0.15], [0.5, 1.9, 0.16]]
_FAMO = [0.215067938970746, 0.0573511054630407, 0.727580955566214]
_FAMO_VALUE = sum(weight * loss for weight, loss in zip(_FAMO, _FALLING[-1], strict=True))
PROGRESS = [
    ValuesRow("famo-start", lambda: gates.FAMO(), [[1, 3]], [3 / 4, 1 / 4], 3 / 2),
    ValuesRow(  # Adam's first step is the rate along the sign: the first fell
        "famo-first",
        lambda: gates.FAMO(learning_rate=log(3) / 2),
        [[1, 1], [1, 1]],
        [1 / 4, 3 / 4],
        1,
        progress=[[0.5, 1]],
    ),
    ValuesRow(  # the code published with the paper, commit 0a6ad06d, gamma = 0.001, and TorchJD 0.18
        "famo-official", lambda: gates.FAMO(), _FALLING, _FAMO, _FAMO_VALUE, progress=_FALLING[1:]
    ),
    ValuesRow("famo-bounds", lambda: gates.FAMO([-2.0, 1.0]), [[1, 10]], [3 / 4, 1 / 4], 13 / 4),
    ValuesRow("exp3-start", lambda: gates.Exp3(0.1, seed=0), [[1, 3]], [1 / 2, 1 / 2], 2),
    ValuesRow(  # seed 0 draws the second, whose first reward is 1/2: w = (0.1 / 2) (1/2) / (1/2)
        "exp3",
        lambda: gates.Exp3(0.1, seed=0),
        [[1, 3], [1, 1]],
        [0.05 + 0.9 / (1 + exp(0.05)), 0.05 + 0.9 / (1 + exp(-0.05))],
        1,
        progress=[[1, 2]],
    ),
    ValuesRow(  # seed 0 draws 2, 2, 1, rewarded by 0, 0, 1; 2 eta = log 3, alpha = 1/4: odds 3 * 3/4 + 1/4 : 3/4 + 3/4
        "exp3-s",
        lambda: gates.Exp3S(seed=0, rate=log(3) / 2),
        [[1, 1], [1, 1], [1, 1], [1, 1]],
        [0.95 * 5 / 8 + 0.025, 0.95 * 3 / 8 + 0.025],
        1,
        progress=[[1, 1], [1, 0.5], [0.5, 1]],
    ),
    ValuesRow(  # one reward of 1/2: e^u = 3 and 1, and e alpha / 2 * 2 = 1 for both
        "exp3-s-auer",
        lambda: gates.Exp3S(0.1, seed=0, form="auer", rate=log(3), share=exp(-1)),
        [[1, 3], [1, 1]],
        [0.05 + 0.9 / 3, 0.05 + 0.9 * 2 / 3],
        1,
        progress=[[1, 2]],
    ),
]
_CONFLICT = [[1, 0.2, 0.1], [-0.8, 1, 0.3], [-0.3, -0.9, 1.2]]
_LENGTHS = [[3, 0], [0, 4]]
_JACOBIANS = [_CONFLICT, [[0.01, -0.02, 0.03], [-1, 2, 0.5]], [[1, 0, 1], [0, 1, -1], [1, 1, 0]]]
_TRACES = [5.12, 5.2514, 6]
_MEAN_TRACE = (5.12 / 3 + 5.2514 / 2 + 6 / 3) / 3
FROM_GRADIENTS: list[GradientsRow] = [
    GradientsRow("grad-norm-start", lambda: gates.GradNorm(), [_LENGTHS], [1, 1]),
    GradientsRow(  # slopes -3 and 4, as 3 < 3.5 < 4: (1.3, 0.6) brought to the sum 2
        "grad-norm", lambda: gates.GradNorm(alpha=0), [_LENGTHS, _LENGTHS], [26 / 19, 12 / 19], rate=0.1
    ),
    GradientsRow(  # lengths 1.025, 1.315, 1.530 around 0.838, 2.023, 1.101
        "grad-norm-rates",
        lambda: gates.GradNorm(1.5, initial_losses=[2, 4, 0.5]),
        [_CONFLICT, _CONFLICT],
        [0.984548963168438, 1.04365907039056, 0.971791966441003],
        losses=[[1, 3.6, 0.3]] * 2,
        rate=0.025,
    ),
    GradientsRow(  # ratios to the losses before: (1, 1), (1/2, 1), (1, 3/4); slopes (-3, 4), (3, -4), (-3, 4)
        "grad-norm-previous",
        lambda: gates.GradNorm(1, relative_to="previous"),
        [_LENGTHS] * 4,
        [105.14 / 75.81, 46.48 / 75.81],
        losses=[[2, 4], [1, 4], [1, 3], [1, 1]],
        rate=0.1,
    ),
    GradientsRow(  # slopes in s: -3.5 and 3.5 at w = (1, 1); 1.5 (3 - 1.25) and 0.5 (-4 - 1.25) at w = (1.5, 0.5)
        "grad-norm-softmax",
        lambda: gates.GradNorm(0, form="softmax"),
        [_LENGTHS] * 3,
        [2 * 3**0.25 / (1 + 3**0.25), 2 / (1 + 3**0.25)],
        rate=log(3) / 7,
    ),
    GradientsRow(  # slopes in s: -3 and 4; 1.5 * 3 and -0.5 * 4
        "grad-norm-exponential",
        lambda: gates.GradNorm(0, form="exponential"),
        [_LENGTHS] * 3,
        [2 * 3 ** (1 / 14) / (1 + 3 ** (1 / 14)), 2 / (1 + 3 ** (1 / 14))],
        rate=log(3) / 7,
    ),
    GradientsRow(  # largest of the first 1, means of the others 0.7 and 0.8: 0.9 + 0.1 / 0.7, then again
        "lr-annealing",
        lambda: gates.LRAnnealing(every=1),
        [_CONFLICT, _CONFLICT],
        [1, 0.81 + 0.19 / 0.7, 0.81 + 0.19 / 0.8],
    ),
    GradientsRow(
        "lr-annealing-literal",
        lambda: gates.LRAnnealing(momentum=0.1, every=1),
        [_CONFLICT],
        [1, 0.1 + 0.9 / 0.7, 0.1 + 0.9 / 0.8],
    ),
    GradientsRow(  # the third is 1.2 at most
        "lr-annealing-reference",
        lambda: gates.LRAnnealing(reference="c", momentum=0, every=1),
        [_CONFLICT],
        [1.2 / (1.3 / 3), 1.2 / 0.7, 1],
    ),
    GradientsRow(  # kept in between
        "lr-annealing-every",
        lambda: gates.LRAnnealing(every=2),
        [_CONFLICT, [[5, 0, 0], [0, 6, 0], [0, 0, 7]]],
        [1, 0.9 + 0.1 / 0.7, 0.9 + 0.1 / 0.8],
    ),
    GradientsRow(  # the second time over 1.043 and 1.025 times the means
        "lr-annealing-code",
        lambda: gates.LRAnnealing("code", every=1),
        [_CONFLICT, _CONFLICT],
        [1, 1.07555772994129, 1.0444512195122],
    ),
    GradientsRow(
        "lr-annealing-mean",
        lambda: gates.LRAnnealing("mean", momentum=0.99, every=1),
        [_CONFLICT],
        [1, 0.99 + 0.01 * 1.3 / 2.1, 0.99 + 0.01 * 1.3 / 2.4],
    ),
    GradientsRow(
        "lr-annealing-norm-sum",
        lambda: gates.LRAnnealing("norm_sum", every=1),
        [_CONFLICT],
        [1.27764361934143, 1.19420750648695, 1.15296991340882],
    ),
    GradientsRow(
        "lr-annealing-norm-mean",
        lambda: gates.LRAnnealing("norm_mean", momentum=0, every=1),
        [_LENGTHS],
        [3.5 / (3 + 3.5e-5), 3.5 / (4 + 3.5e-5)],
    ),
    GradientsRow(
        "ntk",
        lambda: gates.NTK(),
        [_CONFLICT],
        [sum(_TRACES) / trace for trace in _TRACES],
        jacobians=[_JACOBIANS],
    ),
    GradientsRow(
        "ntk-momentum",
        lambda: gates.NTK(momentum=0.75, every=1),
        [_CONFLICT],
        [0.75 + 0.25 * sum(_TRACES) / trace for trace in _TRACES],
        jacobians=[_JACOBIANS],
    ),
    GradientsRow(
        "ntk-mean",
        lambda: gates.NTK("mean"),
        [_CONFLICT],
        [_MEAN_TRACE / (trace / n + 1e-5 * _MEAN_TRACE) for trace, n in zip(_TRACES, [3, 2, 3], strict=True)],
        jacobians=[_JACOBIANS],
    ),
    GradientsRow(  # |J^T v|^2 is the trace for any signs, as these J have orthogonal rows
        "ntk-probes",
        lambda: gates.NTK(probes=2, seed=0),
        [_LENGTHS],
        [15 / 10, 15 / 5],
        jacobians=[[[[3, 0], [0, 1]], [[1, 2], [0, 0]]]],
    ),
    GradientsRow(  # lengths over twice the roots of the losses: 0.512, 0.329, 1.530
        "ntk-root",
        lambda: gates.NTK("root"),
        [_CONFLICT],
        [4.62747817858367, 7.2101777788175, 1.54989081528633],
        losses=[[1, 4, 0.25]],
    ),
    GradientsRow(  # P = (0.476, 0.571, 1), and seed 1 draws 0.010, 0.640, 0.080: signs +, -, +
        "grad-drop", lambda: gates.GradDrop(seed=1), [_CONFLICT], [1, 1, 1], direction=[1, -0.9, 1.6]
    ),
    GradientsRow(  # and 0.3 of -1.1, 1.2 and 0
        "grad-drop-leak", lambda: gates.GradDrop(0.3, seed=1), [_CONFLICT], [1, 1, 1], direction=[0.67, -0.54, 1.6]
    ),
    GradientsRow(  # all of the second, 0.5 of the third
        "grad-drop-leaks",
        lambda: gates.GradDrop([0, 1, 0.5], seed=1),
        [_CONFLICT],
        [1, 1, 1],
        direction=[1 - 0.8 - 0.15, -0.9 + 1, 1.6],
    ),
    GradientsRow(  # all three positive: proportional to M^-1 1
        "mgda", lambda: gates.MGDA(), [_CONFLICT], [0.466091746433087, 0.322783095539101, 0.211125158027813]
    ),
    GradientsRow(  # the first gradient lies behind the hull of the others
        "mgda-scales",
        lambda: gates.MGDA(),
        [[[100, 1, 0], [0.01, -0.02, 0.03], [-1, 2, 0.5]]],
        [0, 0.993159694817153, 0.00684030518284662],
    ),
    GradientsRow(  # of the products divided by the lengths: C^-1 1
        "mgda-l2",
        lambda: gates.MGDA("l2"),
        [_CONFLICT],
        [0.364607062368502, 0.348355466159287, 0.287037471472211],
    ),
    GradientsRow(
        "mgda-loss",
        lambda: gates.MGDA("loss"),
        [_CONFLICT],
        [0.182889257167026, 0.802148483663148, 0.0149622591698261],
        losses=[[1, 4, 0.25]],
    ),
    GradientsRow(
        "mgda-loss-l2",
        lambda: gates.MGDA("loss+"),
        [_CONFLICT],
        [0.140596879606888, 0.841301801571916, 0.0181013188211957],
        losses=[[1, 4, 0.25]],
    ),
    # CAGrad: w by a cone program, then Newton's method on its support
    GradientsRow("cagrad-mean", lambda: gates.CAGrad(0), [_CONFLICT], [1 / 3, 1 / 3, 1 / 3]),
    GradientsRow("cagrad-vertex", lambda: gates.CAGrad(0.2), [_CONFLICT], [0.439442990100563, 1 / 3, 1 / 3]),
    GradientsRow("cagrad", lambda: gates.CAGrad(0.4), [_CONFLICT], [0.565789489519753, 0.389816944792174, 1 / 3]),
    GradientsRow(
        "cagrad-inside",
        lambda: gates.CAGrad(1.0),
        [_CONFLICT],
        [0.932183492866173, 0.645566191078201, 0.422250316055626],
    ),
    GradientsRow(
        "cagrad-rescale-1",
        lambda: gates.CAGrad(0.4, rescale=1),
        [_CONFLICT],
        [0.565789489519753 / 1.16, 0.389816944792174 / 1.16, 1 / 3.48],
    ),
    GradientsRow(
        "cagrad-rescale-2",
        lambda: gates.CAGrad(0.4, rescale=2),
        [_CONFLICT],
        [0.565789489519753 / 1.4, 0.389816944792174 / 1.4, 1 / 4.2],
    ),
    GradientsRow(  # |d| = sqrt(3) without the bound; TorchJD 0.18 and the official code agree here to 1e-8
        "nash-mtl",
        lambda: gates.NashMTL(max_norm=None),
        [_CONFLICT],
        [1.545590336066, 1.1594840377545, 0.874894378704048],
    ),
    GradientsRow(
        "nash-mtl-bounded",
        lambda: gates.NashMTL(),
        [_CONFLICT],
        [0.892346996584589, 0.669428421318636, 0.505120505057273],
    ),
    GradientsRow(
        "fair-grad", lambda: gates.FairGrad(), [_CONFLICT], [1.545590336066, 1.1594840377545, 0.874894378704048]
    ),
    GradientsRow(  # TorchJD 0.18 agrees to 1e-11
        "fair-grad-2",
        lambda: gates.FairGrad(2.0),
        [_CONFLICT],
        [1.69999924095765, 1.23267642071517, 0.876134675353457],
    ),
    GradientsRow(
        "fair-grad-half-bounded",
        lambda: gates.FairGrad(0.5, max_norm=100.0),
        [_CONFLICT],
        [1.39188856673033, 1.09518105431386, 0.891838355747699],
    ),
    GradientsRow(  # TorchJD 0.18 and the rules of LibMTL and nash-mtl agree
        "imtl-g", lambda: gates.IMTLG(), [_CONFLICT], [0.440201337301795, 0.327657798182348, 0.232140864515857]
    ),
    GradientsRow("imtl-g-parallel", lambda: gates.IMTLG(), [[[1, 2], [2, 4]]], [2 / 3, 1 / 3]),
    # Aligned-MTL: the official rule
    GradientsRow(
        "aligned-mtl", lambda: gates.AlignedMTL(), [_CONFLICT], [1.14756255492084, 0.904834578748229, 0.703560683805731]
    ),
    GradientsRow(
        "aligned-mtl-median",
        lambda: gates.AlignedMTL("median"),
        [_CONFLICT],
        [2.10927287937304, 1.66312766923998, 1.29317697146972],
    ),
    GradientsRow(
        "aligned-mtl-rmse",
        lambda: gates.AlignedMTL("rmse"),
        [_CONFLICT],
        [1.92983444190995, 1.52164335339425, 1.18316481638396],
    ),
    GradientsRow(  # TorchJD 0.18
        "aligned-mtl-mean",
        lambda: gates.AlignedMTL(preference=[1 / 3] * 3),
        [_CONFLICT],
        [0.382520851640278, 0.30161152624941, 0.234520227935244],
    ),
    GradientsRow(  # the exact projections; TorchJD 0.18 with reg_eps=1e-12 agrees to 1e-11
        "upgrad", lambda: gates.UPGrad(), [_CONFLICT], [0.717223256112031, 0.571003165704297, 0.474685638940853]
    ),
    # ConFIG: TorchJD 0.18 and the official code agree
    GradientsRow(
        "config", lambda: gates.ConFIG(), [_CONFLICT], [1.37691530670286, 1.02488793069824, 0.726118443034124]
    ),
    *[
        GradientsRow(
            f"config-{length}",
            lambda length=length: gates.ConFIG(length),
            [_CONFLICT],
            [g * first / 0.339169429234037 for g in (1.37691530670286, 1.02488793069824, 0.726118443034124)],
        )
        for length, first in [  # the first element of the official d
            ("min", 0.269436112670603),
            ("max", 0.40222502114618),
            ("harmonic", 0.330066546239484),
            ("geometric", 0.334659402309041),
        ]
    ],
    GradientsRow(  # d = sqrt(2) 3.5 (1, 1) / sqrt(2)
        "config-mean", lambda: gates.ConFIG("mean"), [_LENGTHS], [3.5 / 3, 3.5 / 4]
    ),
    GradientsRow(  # seed 3 draws the orders (1, 2), (2, 0), (0, 1)
        "pcgrad",
        lambda: gates.PCGrad(seed=3),
        [_CONFLICT],
        [1.92967032967033, 1.61585466556565, 1.3242922780495],
    ),
    GradientsRow(
        "pcgrad-code", lambda: gates.PCGrad("code"), [_CONFLICT], [1.88571428571429, 1.61585466556565, 1.40780876156599]
    ),
    GradientsRow(
        "pcgrad-mean",
        lambda: gates.PCGrad("code", reduction="mean"),
        [_CONFLICT],
        [1.88571428571429 / 3, 1.61585466556565 / 3, 1.40780876156599 / 3],
    ),
    GradientsRow(  # the rule step by step, in the orders that seed 3 draws: (1, 2), (2, 0), (0, 1) in both steps
        "grad-vac",
        lambda: gates.GradVac(0.5, seed=3),
        [_CONFLICT, _CONFLICT],
        [1.46893523918631, 1.26549034211708, 1.1436927827485],
    ),
    GradientsRow(  # no conflict: phi stays 0, where with "all" it rises to 0.4 and the second step turns (3, 0)
        "grad-vac-below",
        lambda: gates.GradVac(0.5, seed=0, follow="below"),
        [[[1, 2], [2, 1]], _LENGTHS],
        [1, 1],
    ),
    GradientsRow(  # phi = 0.4 turns (3, 0) by 3 * 0.4 / (4 sqrt(1 - 0.16)) of (0, 4), and the other way round
        "grad-vac-all",
        lambda: gates.GradVac(0.5, seed=0),
        [[[1, 2], [2, 1]], _LENGTHS],
        [1 + 1.6 / (3 * sqrt(0.84)), 1 + 1.2 / (4 * sqrt(0.84))],
    ),
]
_OFFICIAL = [[1, 150, 1500], [2, 100, 1000], [3, 50, 500], [4, 10, 100], [5, 0.1, 1]]
_SLOW = [[1, 4, 0.25], [0.9, 3, 0.26], [0.85, 3.5, 0.2], [0.7, 3.2, 0.22], [0.72, 2.9, 0.21]]
_SLOWER = [*_SLOW, [0.6, 2, 0.2]]
_EPOCHS = [[1, 4, 0.25], [0.8, 3.9, 0.3], [0.5, 3.5, 0.28], [0.6, 3, 0.2]]


def _long(steps: int) -> list[list[float]]:
    return [[1 / (1 + 0.1 * t), 4 * 0.97**t, 0.25 + 0.01 * (t % 7)] for t in range(steps)]


def _rates(
    name: str, make: Callable[[], gates.Gate], losses: Sequence[Sequence[float]], weights: Sequence[float]
) -> ValuesRow:
    """Weights after a training step at each of `losses`, at losses of 1."""
    return ValuesRow(name, make, [*losses, [1] * len(weights)], weights, sum(weights))


#: "official" is SoftAdapt's package, commit 66e7bd6e, run in float64; its first three rows are also in its README.
#: "code" is the repository of ReLoBRaLo, commit b3c76d2b. Where none is named, TorchJD 0.18.0 or the formula.
RATES = [
    _rates(
        "softadapt-official",
        lambda: gates.SoftAdapt(),
        _OFFICIAL,
        [0.99343336297617, 0.00656662708949617, 3.890809e-22],
    ),
    _rates(
        "softadapt-normalized-official",
        lambda: gates.SoftAdapt(normalize="sum"),
        _OFFICIAL,
        [0.322072308625421, 0.325079240669334, 0.35284844717676],
    ),
    _rates(
        "softadapt-loss-weighted-official",
        lambda: gates.SoftAdapt(loss_weighted=True),
        _OFFICIAL,
        [0.87977720045101, 0.1202227966164, 7.1233516e-20],
    ),
    _rates(
        "softadapt-negative-official",
        lambda: gates.SoftAdapt(-0.1, loss_weighted=True),
        _OFFICIAL,
        [1.8944827e-24, 5.9251254e-21, 1],
    ),
    _rates("softadapt-early", lambda: gates.SoftAdapt(), _OFFICIAL[:4], [1, 1, 1]),
    _rates(
        "softadapt-order-1-official",
        lambda: gates.SoftAdapt(2.0, order=1, every=1),
        _SLOW,
        [0.405012931297805, 0.2135602503128, 0.381426814339266],
    ),
    _rates(
        "softadapt-order-3-official",
        lambda: gates.SoftAdapt(2.0, order=3, every=5),
        _SLOW,
        [0.0975702215775517, 0.840423283133568, 0.0620064868846477],
    ),
    _rates(
        "softadapt-order-2-loss-weighted-official",
        lambda: gates.SoftAdapt(2.0, order=2, every=5, loss_weighted=True),
        _SLOW,
        [0.201423643295102, 0.70408364366432, 0.0944927088961612],
    ),
    _rates(  # slopes 1, -9.9, -99 over 109.9, and the means 3, 62.02, 620.2
        "softadapt-normalized-loss-weighted",
        lambda: gates.SoftAdapt(10.99, order=1, every=5, normalize="absolute", loss_weighted=True),
        _OFFICIAL,
        [weight / (3 + 62.02 * exp(-1.09) + 620.2 * exp(-10)) for weight in (3, 62.02 * exp(-1.09), 620.2 * exp(-10))],
    ),
    _rates(  # PhysicsNeMo-Sym's rule
        "softadapt-ratio",
        lambda: gates.SoftAdapt(1.0, rate="ratio", total=None),
        _SLOW,
        [1.0662831956268, 0.943515520574861, 0.990201273135509],
    ),
    _rates(  # slopes 0 and 1: a half of (1, 1), a half of 2 (1/4, 3/4)
        "softadapt-momentum",
        lambda: gates.SoftAdapt(log(3), order=1, every=1, total=None, momentum=0.5),
        [[1, 1], [1, 2]],
        [3 / 4, 5 / 4],
    ),
    # Seed 2 draws 1, 1, 1, 0, 1, 0.
    _rates(
        "relobralo",
        lambda: gates.ReLoBRaLo(0.95, 1.0, 0.5, seed=2),
        _SLOWER,
        [0.961762015928873, 0.868299924156903, 1.16993805991422],
    ),
    _rates(
        "relobralo-cold",
        lambda: gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2),
        _SLOWER,
        [0.502686494795595, 0.14178456820755, 2.35552893699685],
    ),
    _rates("relobralo-first", lambda: gates.ReLoBRaLo(0.95, 1.0, 0.0, seed=2), _SLOWER[:1], [1, 1, 1]),
    _rates(
        "relobralo-code",
        lambda: gates.ReLoBRaLo(0.95, 1.0, 0.5, seed=2, form="code"),
        _SLOWER,
        [0.967109765908872, 0.960401520070779, 1.07248871402035],
    ),
    _rates(
        "relobralo-code-second",
        lambda: gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2, form="code"),
        _SLOWER[:2],
        [0.568361570527862, 0.126818608263131, 2.30481982120901],
    ),
    _rates(
        "relobralo-code-first",
        lambda: gates.ReLoBRaLo(0.95, 1.0, 0.0, seed=2, form="code"),
        _SLOWER[:1],
        [0.139160099838006, 2.79510532352237, 0.0657345766396237],
    ),
    _rates("dwa-early", lambda: gates.DWA(2), [[1, 2], [3, 4], [1, 1]], [1, 1]),
    _rates("dwa", lambda: gates.DWA(1), _EPOCHS, [1.14205487555077, 0.962136054807086, 0.895809069642148]),
    _rates(
        "dwa-cold", lambda: gates.DWA(1, 0.5), _EPOCHS[:2], [0.645910202076357, 0.916590207071871, 1.43749959085177]
    ),
    _rates(  # means (2, 3), (2, 2): r = (1, 2/3)
        "dwa-window", lambda: gates.DWA(2), [[1, 2], [3, 4], [1, 1], [3, 3], [9, 1]], [1.0831409664336, 0.9168590335664]
    ),
    # The code of Nash-MTL, commit cce18403.
    _rates("dwa-sliding-early", lambda: gates.DWA(25, sliding=True), _long(26), [1, 1, 1]),
    _rates(
        "dwa-sliding-with-ones",
        lambda: gates.DWA(25, sliding=True),
        _long(27),
        [0.703776599550606, 1.64816556620074, 0.648057834248655],
    ),
    _rates(
        "dwa-sliding",
        lambda: gates.DWA(25, sliding=True),
        _long(60),
        [0.934099564652089, 0.900426749397522, 1.16547368595039],
    ),
    _rates("random", lambda: gates.Random(seed=0), [[1, 2, 4]], [1 / 3, 1 / 3, 1 / 3]),
    _rates("random-bernoulli", lambda: gates.Random("bernoulli", seed=0), [], [4 / 7, 4 / 7, 4 / 7]),
    _rates("random-bernoulli-two", lambda: gates.Random("bernoulli", seed=0, ones=2), [], [2 / 3, 2 / 3, 2 / 3]),
    _rates("normalized", lambda: gates.Normalized(), [[4, 100], [2, 25]], [1 / 4, 1 / 100]),
    _rates("normalized-unseen", lambda: gates.Normalized("rms", [2, 1]), [], [2, 1]),
    _rates(  # means (4/4 + 2/2) / (3/4), (100/4 + 25/2) / (3/4)
        "normalized-running",
        lambda: gates.Normalized(normalizers.RunningMean(memory=2)),
        [[4, 100], [2, 25]],
        [3 / 8, 1 / 50],
    ),
    _rates(  # means of squares (49/4 + 1/2) / (3/4), (1/4 + 49/2) / (3/4)
        "normalized-rms",
        lambda: gates.Normalized(normalizers.RootMeanSquare(memory=2), [3, 0]),
        [[7, 1], [1, 7]],
        [3 / sqrt(17), 0],
    ),
]
ROWS = [
    *GATES,
    *STATISTICS,
    *REGULARIZERS,
    *NORMALIZERS,
    *FAMILIES,
    *SCALARIZATIONS,
    *PROGRESS,
    *RATES,
    *FROM_GRADIENTS,
]
