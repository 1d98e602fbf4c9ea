"""One row per normalizer of losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log, pi, sqrt
from typing import NamedTuple

from blendloss.gates import normalizers


class NormalizerRow(NamedTuple):
    """The blend of r^2 and |r|, half of each, of one residual a step; the value at the last."""

    id: str
    make: Callable[[], normalizers.Normalizer]
    residuals: Sequence[float]
    value: float


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
