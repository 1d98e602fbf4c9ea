"""One row per regularizer of the shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

from blendloss.gates import regularizers


class RegularizerRow(NamedTuple):
    id: str
    make: Callable[[], regularizers.Regularizer]
    shares: Sequence[Sequence[float]]
    value: float


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
