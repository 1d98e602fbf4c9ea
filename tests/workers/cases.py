"""What is trained by several workers and by one process: gates, modes and ways to train, each a case.

A case is trained for a few steps by a loop around `BlendedModel.train_step`. What it leaves behind, weights, the gate's
state, optimizers' variables and logs, is compared between workers and with one process on the whole batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from blendloss.gates import MetricGate, Needs
from tests.keras.models import GATES, MODES
from tests.workers.traffic import traffic

STATISTICS = bl.gates.statistics
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4))
Y = X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(48, 1))
#: A third of the examples do not count.
WEIGHTS = RNG.choice([0.0, 0.5, 1.0, 2.0], size=48, p=[0.3, 0.2, 0.3, 0.2])
SEQUENCES = RNG.normal(size=(48, 3, 4))
SEQUENCES[RNG.random((48, 3)) < 0.4] = 0.0  # which a layer masks
HELD_OUT = X[:12] + 1.0, Y[:12]

#: Rows of the first and the second worker, in each step: half and half, or any part, also none in the last step.
EVEN = [(8, 8)] * 3
UNEVEN = [(9, 7), (3, 13), (5, 2), (4, 0)]

#: What the names of logs begin with, among what a case leaves behind; and the name of what a step sends.
LOG = "log "
SENT = "sent"
FLOAT64, FLOAT32, HALF, SCALED = "float64", "float32", "mixed_bfloat16", "mixed_float16"
#: The largest deviation of workers from one process, relative to the largest number of a variable, by dtype policy.
#: Half precision adds up the examples of a part with a unit roundoff of 2^-8 or 2^-11; 16 of these are allowed.
BOUNDS = {FLOAT64: 1e-11, FLOAT32: 2e-5, HALF: 16 * 2.0**-8, SCALED: 16 * 2.0**-11}


@dataclasses.dataclass(frozen=True)
class Case:
    """What is trained, and on which rows.

    Args:
        gate: gives the gate.
        mode: gives the mode.
        reduction: of the blend.
        rows: how many each of two workers has, in each step.
        weighted: whether examples have weights, some of which are 0.
        masked: whether some time steps of sequences are masked.
        width: of the network's hidden layer.
        losses: how many there are.
        held_out: whether the gate trains by held-out data.
        gate_optimizer: whether the gate has an optimizer of its own.
        policy: the dtype policy of the model; one of `BOUNDS`.
    """

    gate: Callable[[], Any]
    mode: Callable[[], Any] = MODES["soft"]
    reduction: str = "mean"
    rows: Sequence[tuple[int, int]] = tuple(EVEN)
    weighted: bool = False
    masked: bool = False
    width: int = 3
    losses: int = 3
    held_out: bool = False
    gate_optimizer: bool = False
    policy: str = FLOAT64

    @property
    def data(self) -> tuple[Any, ...]:
        """Inputs, targets and, if there are any, weights."""
        if self.masked:
            return SEQUENCES, np.stack([Y, Y + 1, Y - 1], axis=1)
        return (X, Y, WEIGHTS) if self.weighted else (X, Y)

    def model(self) -> bl.BlendedModel:
        """A new model in its initial state, compiled; to be called in the scope of a strategy."""
        keras.utils.set_random_seed(0)
        gate = self.gate()
        of_residuals = Needs.PENALTIES in gate.needs or gate.elementwise or Needs.RESIDUAL_GRADIENTS in gate.needs
        mae = bl.losses.AbsoluteError() if of_residuals else "mae"
        named = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": mae, "fair": bl.losses.Fair()}
        losses = dict(list(named.items())[: self.losses])
        held_out = bl.keras.HeldOut("mae", batch_size=5, seed=1) if self.held_out else None
        blend = bl.Blend(losses, gate, self.mode(), reduction=self.reduction)
        model = bl.BlendedModel(self._network(), blend, held_out=held_out)
        rate = 0.05 if self.reduction == "mean" else 0.005
        own = {"gate_optimizer": keras.optimizers.SGD(0.1, momentum=0.9)} if self.gate_optimizer else {}
        optimizer = keras.optimizers.SGD(rate, momentum=0.5)
        if self.policy == SCALED:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=16.0)
        model.compile(optimizer, **own)
        model.optimizer.build(model.trainable_variables)
        if self.held_out:
            model.set_held_out_data(HELD_OUT)
        if isinstance(gate, MetricGate):
            gate.observe(2.5)
        return model

    def _network(self) -> keras.Model:
        layers = [keras.layers.Dense(self.width, activation="tanh"), keras.layers.Dense(1, dtype=keras.config.floatx())]
        if self.masked:
            return keras.Sequential([keras.Input([3, 4]), keras.layers.Masking(), *layers])
        return keras.Sequential([keras.Input([4]), *layers])


def trained(case: Case, strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """What `case` leaves behind, by name, after its steps under `strategy`: the whole batch for a single replica."""
    policy = keras.config.dtype_policy()
    floatx = keras.config.floatx()
    keras.config.set_floatx(FLOAT64 if case.policy == FLOAT64 else FLOAT32)
    keras.config.set_dtype_policy(case.policy)
    try:
        with strategy.scope():
            model = case.model()
        step = train_step(case, model, strategy)
        # Gradients of sequences have no static shape; those of scaled losses are sent in a branch.
        countable = not case.masked and case.policy != SCALED
        sent = traffic(step.get_concrete_function(tf.TensorSpec([], tf.int32)).graph) if countable else []
        for number in range(len(case.rows)):
            step(tf.constant(number))
            if isinstance(model.blend.gate, MetricGate):
                model.blend.gate.observe(2.5)
        with strategy.scope():
            logs = {f"{LOG}{name}": np.asarray(log) for name, log in model.get_metrics_result().items()}
        return state_of(model) | logs | {SENT: np.array(sent)}
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)


def train_step(case: Case, model: bl.BlendedModel, strategy: tf.distribute.Strategy) -> Any:
    """A function of the step's number, traced once: one step of training on each worker's rows."""
    floatx = keras.config.floatx()
    data = tuple(tf.constant(part, floatx) for part in case.data)
    parts = np.array([(0, *np.ravel(case.rows))]).cumsum().reshape(-1)
    firsts = parts[:-1].reshape(-1, 2)
    bounds = tf.constant(np.column_stack([firsts, firsts[:, 0] + np.sum(case.rows, axis=1)]))

    def replica_step(number: tf.Tensor) -> Any:
        replica = tf.distribute.get_replica_context()
        alone = replica.num_replicas_in_sync == 1
        at = replica.replica_id_in_sync_group
        first = bounds[number, 0] if alone else bounds[number, at]
        last = bounds[number, 2] if alone else bounds[number, at + 1]
        return model.train_step(tuple(part[first:last] for part in data))

    return tf.function(lambda number: strategy.run(replica_step, (number,)), autograph=False)


def state_of(model: bl.BlendedModel) -> dict[str, np.ndarray]:
    """The model's weights, the gate's state among them, and the optimizers' variables."""
    # Not by their paths, which count the models that were made before.
    found = {f"weight {i}, {variable.name}": variable for i, variable in enumerate(model.weights)}
    for name, optimizer in {"optimizer": model.optimizer, "gate_optimizer": model.gate_optimizer}.items():
        if optimizer is not None:
            found |= {f"{name}, variable {i}": variable for i, variable in enumerate(optimizer.variables)}
    return {name: keras.ops.convert_to_numpy(variable.value) for name, variable in found.items()}


def _gate(name: str, **named: Any) -> Case:
    return Case(GATES[name], **named)


WHOLE: dict[str, Any] = {"reduction": "sum", "rows": UNEVEN}

#: What a gate or a mode needs of the batch, each in its own way: all that `make test` has time for.
SHORT = {
    "residual-state": _gate("quantile", mode=MODES["annealed"], weighted=True, **WHOLE),
    "gradients": _gate("pcgrad", rows=EVEN[:2]),
    "noise-by-example": _gate("network", mode=MODES["reinmax"], gate_optimizer=True, **WHOLE),
    "held-out": _gate("learned", held_out=True, gate_optimizer=True, rows=EVEN[:2]),
}

LONG = {
    **SHORT,
    **{f"{name}, halves": _gate(name) for name in GATES},
    **{f"{name}, uneven and weighted": _gate(name, weighted=True, **WHOLE) for name in GATES},
    **{
        f"{gate}, {mode}": _gate(gate, mode=MODES[mode], **WHOLE)
        for gate in ("learned", "network", "bayesian-dirichlet", "score-matching", "mgda")
        for mode in MODES
    },
    "by-residual": Case(lambda: bl.gates.ByResidual([1.0, 2.0]), **WHOLE),
    "mixture": Case(lambda: bl.gates.Mixture(), **WHOLE),
    "exponential-family": Case(lambda: bl.gates.ExponentialFamily(learn_scale=True), **WHOLE),
    "masked, learned-running": _gate("learned-running", masked=True, **WHOLE),
    "masked, score-matching": _gate("score-matching", masked=True, **WHOLE),
    "held-out, uneven": _gate("learned-running", held_out=True, gate_optimizer=True, **WHOLE),
    "gate-optimizer, uncertainty": _gate("uncertainty", gate_optimizer=True, **WHOLE),
    "gate-optimizer, grad-norm": _gate("grad-norm", gate_optimizer=True),
    **{
        f"{policy}, {gate}": _gate(gate, policy=policy, **WHOLE)
        for policy in (FLOAT32, HALF, SCALED)
        for gate in (
            "learned-running",
            "learned-likelihood",
            "relobralo",
            "quantile",
            "score-matching",
            "mgda",
            "grad-norm",
            "ntk-probes",
            "network",
        )
    },
}
