"""The gates and statistics under test, one list of each for all of this folder: (readable id, ...)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from blendloss import gates, schedules
from blendloss.gates import statistics

STATISTICS: list[tuple[str, statistics.Statistic]] = [
    ("mean-absolute", statistics.MeanAbsolute()),
    ("quantile-absolute", statistics.QuantileAbsolute(0.8)),
    ("kurtosis", statistics.Kurtosis()),
    ("outlier-share", statistics.OutlierShare(1.5)),
    ("stagnation", statistics.Stagnation(statistics.QuantileAbsolute(0.5), ratio=3)),
]

GATES: list[tuple[str, int, Callable[[], gates.Gate]]] = [  # id, K, factory
    ("fixed", 2, lambda: gates.Fixed([1.0, 10.0])),
    ("scheduled-position", 3, lambda: gates.Scheduled(schedules.linear(0.0, 2.0, steps=1000))),
    ("scheduled-vector", 2, lambda: gates.Scheduled(schedules.linear([3.0, 0.0], [0.0, 5.0], steps=1000))),
    ("learned", 3, lambda: gates.Learned()),
    ("learned-initial", 3, lambda: gates.Learned([0.5, -1.0, 2.0])),
    ("plateau", 3, lambda: gates.Plateau("m", patience=2, min_delta=0.25, cooldown=1)),
    ("plateau-cyclic", 3, lambda: gates.Plateau("m", patience=2, direction="max", cyclic=True)),
    ("threshold", 2, lambda: gates.Threshold("m", [1.0], hysteresis=0.5, patience=2)),
    ("threshold-rising", 3, lambda: gates.Threshold("m", [0.5, 1.5], direction="rising", cooldown=2, returns=False)),
    *(
        (f"residual-state-{name}", 3, lambda s=s: gates.ResidualState(s, [0.5, 1.5], width=0.5, memory=7))
        for name, s in STATISTICS
    ),
    ("residual-state-falling", 2, lambda: gates.ResidualState(STATISTICS[0][1], [0.5], width=2, direction="falling")),
]

every_gate = pytest.mark.parametrize(("k", "make"), [(k, m) for _, k, m in GATES], ids=[i for i, _, _ in GATES])
every_statistic = pytest.mark.parametrize("statistic", [s for _, s in STATISTICS], ids=[i for i, _ in STATISTICS])


def names(k: int) -> tuple[str, ...]:
    return tuple("abcdefgh"[:k])


def attached(make: Callable[[], gates.Gate], k: int) -> gates.Gate:
    gate = make()
    gate.attach(names(k))
    return gate


def drive(gate: gates.Gate, residuals=(), metrics=()) -> None:
    """A training step for each of `residuals`, then an observation for each of `metrics`."""
    for step, residual in enumerate(residuals):
        gate.gating(gates.Context(step, True, residual=np.float32(residual)))
    for metric in metrics:
        gate.observe(metric)


def logits_of(gate: gates.Gate, step=0, residual=None, training=False):
    gating = gate.gating(gates.Context(step, training, residual=residual))
    return gating.logits if isinstance(gating, gates.Gating) else gating


def state_of(gate: gates.Gate) -> list[np.ndarray]:
    return [variable.numpy() for variable in gate.variables]
