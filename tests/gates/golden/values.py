"""Gates from the losses' values: what each gives after some training steps, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt
from typing import NamedTuple

from blendloss import gates


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
