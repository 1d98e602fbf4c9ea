"""The gates and statistics under test, one list of each for all of this folder, with what each is like."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

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


class GateCase(NamedTuple):
    """A gate of `k` losses, and what it is like.

    `total` is what its weights add up to at step 250; `trained` and `kept` are the names of its variables that train
    and of those that do not. `updates` says whether a training step changes what is kept, `constant` whether its
    weights are the same whatever happens, and `vectors` how many gating vectors it gives for 64 residuals and the
    features of one example, None for one vector without an axis of examples.
    """

    id: str
    make: Callable[[], gates.Gate]
    total: float = 1.0
    trained: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    k: int = 3
    updates: bool = False
    constant: bool = False
    vectors: int | None = None

    def attached(self) -> gates.Gate:
        return attached(self.make, self.k)


_STAGE = ("stage", "waited", "cooling")
_BEST = (*_STAGE, "best")
_MEANS = ("means", "weight", "skipped")
_LAST = ("last", "skipped")


def _of_residuals(id: str, make: Callable[[], gates.Gate], k: int = 3) -> GateCase:
    return GateCase(id, make, kept=_MEANS, k=k, updates=True)


def _of_gradients(id: str, make: Callable[[], gates.Gate], k: int = 3, more: tuple[str, ...] = ()) -> GateCase:
    """Whose weights are 1 before the first training step."""
    return GateCase(id, make, total=k, kept=(*_LAST, *more), k=k, updates=True)


GATES = [
    GateCase("fixed", lambda: gates.Fixed([1.0, 10.0]), total=11.0, k=2, constant=True),
    GateCase("manual", lambda: gates.Manual([3.0, 0.0, 0.5]), total=3.5, kept=("assigned",), constant=True),
    GateCase("scheduled-position", lambda: gates.Scheduled(schedules.linear(0.0, 2.0, steps=1000))),
    GateCase(  # a quarter of the way from 3 to 5
        "scheduled-vector",
        lambda: gates.Scheduled(schedules.linear([3.0, 0.0], [0.0, 5.0], steps=1000)),
        total=3.5,
        k=2,
    ),
    GateCase("learned", lambda: gates.Learned(), trained=("logits",)),
    GateCase(
        "exponential-family",
        lambda: gates.ExponentialFamily([0.5, 1.0, 2.0], scale=2.0, learn_scale=True),
        total=3.5,
        trained=("parameters", "log_scale"),
    ),
    GateCase(
        "mixture", lambda: gates.Mixture([1.0, 5.0]), trained=("proportion_logits", "log_scales"), k=2, vectors=64
    ),
    GateCase(
        "bayesian-dirichlet",
        lambda: gates.Bayesian(families.Dirichlet([0.5, 1, 2]), examples=9, seed=1),
        trained=("log_concentration",),
    ),
    GateCase(
        "bayesian-logistic-normal",
        lambda: gates.Bayesian(families.LogisticNormal(scale=3), examples=9, seed=2),
        trained=("mean", "log_scale"),
        k=2,
    ),
    GateCase("by-residual", lambda: gates.ByResidual([0.5, 1.5], width=0.5), vectors=64),
    GateCase("network", lambda: gates.Network(chooser(3)), trained=("kernel", "bias"), vectors=1),
    GateCase(
        "learned-regularized",
        lambda: gates.Learned(
            regularizers=[regularizers.Entropy(schedules.linear(1.0, 0.0, steps=1000)), regularizers.LoadBalance(0.1)]
        ),
        trained=("logits",),
    ),
    GateCase("learned-initial", lambda: gates.Learned([0.5, -1.0, 2.0]), trained=("logits",)),
    GateCase(
        "uncertainty",
        lambda: gates.Uncertainty(["regression", "classification", "auxiliary"]),
        total=2.0,
        trained=("log_variances",),
    ),
    GateCase("plateau", lambda: gates.Plateau("m", patience=2, min_delta=0.25, cooldown=1), kept=_BEST),
    GateCase("plateau-cyclic", lambda: gates.Plateau("m", patience=2, direction="max", cyclic=True), kept=_BEST),
    GateCase("threshold", lambda: gates.Threshold("m", [1.0], hysteresis=0.5, patience=2), kept=_STAGE, k=2),
    GateCase(
        "threshold-rising",
        lambda: gates.Threshold("m", [0.5, 1.5], direction="rising", cooldown=2, returns=False),
        kept=_STAGE,
    ),
    *(
        _of_residuals(f"residual-state-{name}", partial(gates.ResidualState, s, [0.5, 1.5], width=0.5, memory=7))
        for name, s in STATISTICS
    ),
    GateCase(
        "score-matching",
        lambda: gates.ScoreMatching(memory=7, every=2),
        kept=(
            *("calls", "batch", "log_scale"),
            *("weight", "weight_squared", "slope", "curvature", "second", "evidence", "influence"),
            *("shares", "mean_curvature", "precisions", "skipped"),
        ),
        updates=True,
    ),
    GateCase(
        "grad-norm",
        lambda: gates.GradNorm(form="softmax"),
        total=3.0,
        trained=("parameters",),
        kept=(*_LAST, "references", "rates"),
        updates=True,
    ),
    _of_gradients("lr-annealing", lambda: gates.LRAnnealing(every=2)),
    _of_gradients("ntk", lambda: gates.NTK(every=1)),
    _of_gradients("ntk-probes", lambda: gates.NTK(probes=3, seed=4, momentum=0.5, every=2), k=2),
    GateCase("grad-drop", lambda: gates.GradDrop(0.2, seed=5), total=3.0, constant=True),
    _of_gradients("mgda", lambda: gates.MGDA("loss+")),
    _of_gradients("cagrad", lambda: gates.CAGrad(0.5)),
    _of_gradients("nash-mtl", lambda: gates.NashMTL()),
    _of_gradients("fair-grad", lambda: gates.FairGrad(2.0, every=2)),
    _of_gradients("imtl-g", lambda: gates.IMTLG()),
    _of_gradients("aligned-mtl", lambda: gates.AlignedMTL("rmse", [1.0, 2.0, 0.5])),
    _of_gradients("config", lambda: gates.ConFIG("harmonic", [1.0, 2.0, 0.5])),
    _of_gradients("pcgrad", lambda: gates.PCGrad(seed=6)),
    _of_gradients("grad-vac", lambda: gates.GradVac(0.1, seed=7), more=("targets",)),
    _of_gradients("upgrad", lambda: gates.UPGrad([1.0, 2.0, 0.5])),
    _of_residuals(
        "residual-state-falling",
        lambda: gates.ResidualState(STATISTICS[0][1], [0.5], width=2, direction="falling"),
        k=2,
    ),
]

every_gate = pytest.mark.parametrize("case", GATES, ids=[case.id for case in GATES])
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
