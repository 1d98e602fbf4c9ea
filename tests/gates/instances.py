"""The gates and statistics under test, one list of each for all of this folder: (readable id, ...)."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates, losses, schedules
from blendloss.gates import Needs, families, regularizers, statistics

#: Of one example, for gates that choose by features.
FEATURES = tf.constant([[1.0, 2.0]])
#: What the losses of `losses_of` act on.
TRUNK = tf.Variable([1.0, -0.5, 2.0, 0.25], name="trunk/kernel")


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
    ("manual", 3, lambda: gates.Manual([3.0, 0.0, 0.5])),
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
    ("score-matching", 3, lambda: gates.ScoreMatching(memory=7, every=2)),
    ("grad-norm", 3, lambda: gates.GradNorm(form="softmax")),
    ("lr-annealing", 3, lambda: gates.LRAnnealing(every=2)),
    ("ntk", 3, lambda: gates.NTK(every=1)),
    ("ntk-probes", 2, lambda: gates.NTK(probes=3, seed=4, momentum=0.5, every=2)),
    ("grad-drop", 3, lambda: gates.GradDrop(0.2, seed=5)),
    ("mgda", 3, lambda: gates.MGDA("loss+")),
    ("cagrad", 3, lambda: gates.CAGrad(0.5)),
    ("nash-mtl", 3, lambda: gates.NashMTL()),
    ("fair-grad", 3, lambda: gates.FairGrad(2.0, every=2)),
    ("imtl-g", 3, lambda: gates.IMTLG()),
    ("aligned-mtl", 3, lambda: gates.AlignedMTL("rmse", [1.0, 2.0, 0.5])),
    ("config", 3, lambda: gates.ConFIG("harmonic", [1.0, 2.0, 0.5])),
    ("pcgrad", 3, lambda: gates.PCGrad(seed=6)),
    ("grad-vac", 3, lambda: gates.GradVac(0.1, seed=7)),
    ("upgrad", 3, lambda: gates.UPGrad([1.0, 2.0, 0.5])),
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


def losses_of(residual, k: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """K losses of `TRUNK`, each the mean square of its own four residuals, and these."""
    factors = tf.reshape(tf.cast(residual, tf.float32)[: 4 * k], [k, 4])
    residuals = tf.unstack(factors * TRUNK - 1)
    return [tf.reduce_mean(tf.square(of_loss)) for of_loss in residuals], residuals


def context_of(gate: gates.Gate, step, residual, training: bool) -> gates.Context:
    """What the gate is given at `residual`; with gradients for a gate from gradients, where it trains."""
    context = gates.Context(step, training, residual=residual, features=FEATURES)
    if not (Needs.GRADIENTS in gate.needs and training):
        return context
    with tf.GradientTape(persistent=True) as tape:
        values, residuals = losses_of(residual, len(gate.names))
    gradients = gates.LossGradients(tape, values, [TRUNK], gate.measured, residuals=residuals)
    return context._replace(values=tf.stack(values), gradients=gradients)


def weights_of(blend, step, residual) -> tf.Tensor:
    """The weights in a training step of a blend whose gate looks at gradients."""
    with tf.GradientTape(persistent=True) as tape:
        values, residuals = (dict(zip(blend.names, of, strict=True)) for of in losses_of(residual, len(blend.names)))
    variables = [TRUNK, *blend.trainable_variables]
    return blend.gradients(tape, values, variables, step=step, residuals=residuals).output.weights


def drive(gate: gates.Gate, residuals=(), metrics=()) -> None:
    """A training step for each of `residuals`, then an observation for each of `metrics`."""
    for step, residual in enumerate(residuals):
        gate.gating(context_of(gate, step, np.float32(residual), True))
    for metric in metrics:
        gate.observe(metric)


def logits_of(gate: gates.Gate, step=0, residual=None, training=False):
    if residual is None and gate.elementwise:
        residual = tf.constant([0.25, -3.0])
    gating = gate.gating(context_of(gate, step, residual, training))
    return gating.logits if isinstance(gating, gates.Gating) else gating


def state_of(gate: gates.Gate) -> list[np.ndarray]:
    return [variable.numpy() for variable in gate.variables]


def blend_of(gate, k, mode=None, **options):
    losses = penalties(k) if Needs.PENALTIES in gate.needs or gate.elementwise else ["mse"] * k
    return bl.Blend(dict(zip(names(k), losses, strict=True)), gate, mode, **options)
