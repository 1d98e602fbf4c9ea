"""The gates and statistics under test, one list of each for all of this folder: (readable id, ...)."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates, losses, schedules
from blendloss.gates import families, regularizers, statistics

#: Of one example, for gates that choose by features.
FEATURES = tf.constant([[1.0, 2.0]])


def chooser(k: int) -> keras.Model:
    """A gate's network, the same each time it is made."""
    weights = keras.initializers.RandomNormal(seed=1)
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(k, kernel_initializer=weights)])


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
    ("exponential-family", 3, lambda: gates.ExponentialFamily([0.5, 1.0, 2.0], scale=2.0, learn_scale=True)),
    ("mixture", 2, lambda: gates.Mixture([1.0, 5.0])),
    ("bayesian-dirichlet", 3, lambda: gates.Bayesian(families.Dirichlet([0.5, 1, 2]), examples=9, seed=1)),
    ("bayesian-logistic-normal", 2, lambda: gates.Bayesian(families.LogisticNormal(scale=3), examples=9, seed=2)),
    ("by-residual", 3, lambda: gates.ByResidual([0.5, 1.5], width=0.5)),
    ("network", 3, lambda: gates.Network(chooser(3))),
    (
        "learned-regularized",
        3,
        lambda: gates.Learned(
            regularizers=[regularizers.Entropy(schedules.linear(1.0, 0.0, steps=1000)), regularizers.LoadBalance(0.1)]
        ),
    ),
    ("learned-initial", 3, lambda: gates.Learned([0.5, -1.0, 2.0])),
    ("uncertainty", 3, lambda: gates.Uncertainty(["regression", "classification", "auxiliary"])),
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


def penalties(k: int) -> tuple[losses.Penalty, ...]:
    """Losses for gates that weigh functions of the residual."""
    return (losses.SquaredError(), losses.AbsoluteError(2.0), losses.Huber(0.5))[:k]


def attached(make: Callable[[], gates.Gate], k: int) -> gates.Gate:
    gate = make()
    attach(gate, k)
    return gate


def attach(gate: gates.Gate, k: int) -> None:
    gate.attach(names(k), penalties(k))


def drive(gate: gates.Gate, residuals=(), metrics=()) -> None:
    """A training step for each of `residuals`, then an observation for each of `metrics`."""
    for step, residual in enumerate(residuals):
        gate.gating(gates.Context(step, True, residual=np.float32(residual), features=FEATURES))
    for metric in metrics:
        gate.observe(metric)


def logits_of(gate: gates.Gate, step=0, residual=None, training=False):
    if residual is None and gate.elementwise:
        residual = tf.constant([0.25, -3.0])
    gating = gate.gating(gates.Context(step, training, residual=residual, features=FEATURES))
    return gating.logits if isinstance(gating, gates.Gating) else gating


def state_of(gate: gates.Gate) -> list[np.ndarray]:
    return [variable.numpy() for variable in gate.variables]
