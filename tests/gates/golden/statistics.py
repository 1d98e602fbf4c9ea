"""One row per statistic of residuals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from blendloss.gates import statistics


class StatisticRow(NamedTuple):
    id: str
    make: Callable[[], statistics.Statistic]
    residual: Sequence[float]
    value: float


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
