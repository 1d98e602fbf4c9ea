"""What holds for every gate that looks at gradients; each adds its rows to `FROM_GRADIENTS`.

Golden values, permutations, one loss, gradients that are 0, huge, tiny, infinite or NaN, what a row claims about the
losses' units, every regime in one trace, saving, double precision, and replicas.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from tests.gates import golden
from tests.gates.gradients import Steps, steps_of, train
from tests.gates.values import blend_of, state_of

STEPS = 5
RATE = 0.01
#: Weights from measures in float64, kept in float32 over some steps; sums of up to 12 products in float32.
ROUNDING = 16 * 2.0**-23


class FromGradients(NamedTuple):
    """A gate from gradients.

    `one` is the weight of a single loss, None where it depends on the gradient. `first` says whether the first loss is
    no loss as the others, so that it keeps its place in permutations; `ordered`, whether the losses' order matters.
    `units` is what happens to the weights where loss k and all its gradients are c_k times as large: "none" (weights do
    not change), "inverse" (they are 1 / c_k times as large), or None (no claim). `plain` says whether the direction is
    sum_k g_k G_k.
    """

    id: str
    make: Callable[[], gates.GradientGate]
    one: float | None = 1.0
    first: bool = False
    ordered: bool = False
    units: str | None = None
    plain: bool = True


FROM_GRADIENTS = [
    FromGradients("grad-norm", lambda: gates.GradNorm()),
    FromGradients("grad-norm-softmax-previous", lambda: gates.GradNorm(form="softmax", relative_to="previous")),
    FromGradients("grad-norm-exponential", lambda: gates.GradNorm(0.5, form="exponential")),
    FromGradients("lr-annealing", lambda: gates.LRAnnealing(every=1), first=True),
    FromGradients("lr-annealing-every-2", lambda: gates.LRAnnealing(every=2), first=True),
    FromGradients("lr-annealing-code", lambda: gates.LRAnnealing("code", every=1), first=True),
    FromGradients("lr-annealing-mean", lambda: gates.LRAnnealing("mean", momentum=0.5, every=1), first=True),
    FromGradients("lr-annealing-norm-sum", lambda: gates.LRAnnealing("norm_sum", every=1)),
    FromGradients(
        "lr-annealing-norm-mean", lambda: gates.LRAnnealing("norm_mean", momentum=0, every=1), one=1 / (1 + 1e-5)
    ),
    FromGradients("ntk", lambda: gates.NTK(every=1), units="none"),
    FromGradients("ntk-mean", lambda: gates.NTK("mean", every=1), one=1 / (1 + 1e-5), units="none"),
    FromGradients("ntk-root", lambda: gates.NTK("root", momentum=0.5, every=1)),
    FromGradients("grad-drop", lambda: gates.GradDrop(0.2, seed=3), units="none", plain=False),
    FromGradients("mgda", lambda: gates.MGDA()),
    FromGradients("mgda-l2", lambda: gates.MGDA("l2"), units="none"),
    FromGradients("mgda-loss", lambda: gates.MGDA("loss"), units="none"),
    FromGradients("mgda-loss-l2", lambda: gates.MGDA("loss+")),
    FromGradients("cagrad", lambda: gates.CAGrad(0.5), one=1.5),
    FromGradients("cagrad-rescaled", lambda: gates.CAGrad(2.0, rescale=2, every=2)),
    FromGradients("nash-mtl", lambda: gates.NashMTL(max_norm=None), one=None, units="inverse"),
    FromGradients("nash-mtl-bounded", lambda: gates.NashMTL(max_norm=1.0), one=None, units="inverse"),
    FromGradients("fair-grad", lambda: gates.FairGrad(2.0, max_norm=1e3), one=None),
    FromGradients("imtl-g", lambda: gates.IMTLG()),
    FromGradients("aligned-mtl", lambda: gates.AlignedMTL()),
    FromGradients("aligned-mtl-median", lambda: gates.AlignedMTL("median", tolerance=1e-12)),
    FromGradients("aligned-mtl-rmse", lambda: gates.AlignedMTL("rmse")),
    FromGradients("config", lambda: gates.ConFIG()),
    FromGradients("config-geometric", lambda: gates.ConFIG("geometric")),
    FromGradients("pcgrad", lambda: gates.PCGrad(seed=3), ordered=True),
    FromGradients("pcgrad-code", lambda: gates.PCGrad("code"), ordered=True),
    FromGradients("grad-vac", lambda: gates.GradVac(0.5, seed=3), ordered=True),
    FromGradients("grad-vac-every-2", lambda: gates.GradVac(0.5, seed=3, follow="below", every=2), ordered=True),
    FromGradients("upgrad", lambda: gates.UPGrad()),
]
every = pytest.mark.parametrize("row", FROM_GRADIENTS, ids=[row.id for row in FROM_GRADIENTS])


def variable_of(size, dtype="float32"):
    return tf.Variable(tf.zeros([size], dtype), name="trunk/kernel")


MODES = {None: None, "hard": bl.modes.Hard(), "annealed": bl.modes.Annealed(1.0, seed=0)}


class Output(NamedTuple):
    """What is compared of an output of the blend."""

    value: tf.Tensor
    weights: tf.Tensor


class Trainer:
    """A blend with its traced training step, which many tests share; every use starts from the first state."""

    def __init__(self, gate, k, mode=None, dtype="float32"):
        self.blend = blend_of(gate, k, MODES[mode])
        self.variable = variable_of(6, dtype)
        self.start = [variable.numpy() for variable in gate.variables]
        self.dtype = dtype
        self.traced = tf.function(self._step, autograph=False)

    def _step(self, gradients, losses, jacobians, step):
        direction, output = train(self.blend, self.variable, gradients, losses, jacobians, step, RATE)
        return direction, Output(output.value, output.weights)

    def restart(self):
        for variable, value in zip(self.blend.gate.variables, self.start, strict=True):
            variable.assign(value)

    def step(self, steps, number):
        return self.traced(*steps.at(number, self.dtype), tf.constant(number, tf.int64))


def trainer(row, k, mode=None, dtype="float32"):
    """The one of this row; `test_every_regime_gives_the_same_in_one_trace` compares it with eager steps."""
    return _trainer(row, k, mode, dtype)


@functools.cache
def _trainer(row, k, mode, dtype):
    gate = row.make()
    return Trainer(type(gate).from_config({**gate.get_config(), "dtype": dtype}), k, mode, dtype)


def trained(row, steps: Steps, number=None, mode=None, dtype="float32"):
    """A blend after some training steps, and the last one's combined gradient and output."""
    of = trainer(row, steps.losses.shape[1], mode, dtype)
    of.restart()
    for step in range(len(steps.losses) if number is None else number):
        found = of.step(steps, step)
    return of.blend, *found


# Values


@pytest.mark.parametrize("row", golden.FROM_GRADIENTS, ids=lambda row: row.id)
def test_golden(row):
    blend = blend_of(row.make(), len(row.weights))
    variable = variable_of(len(row.gradients[0][0]))
    for step, gradients in enumerate(row.gradients):
        given = np.float32(gradients)
        losses = tf.constant(row.losses[step], tf.float32) if row.losses else None
        jacobians = [np.float32(of_loss) for of_loss in row.jacobians[step]] if row.jacobians else ()
        direction, output = train(blend, variable, given, losses, jacobians, step, row.rate)
    np.testing.assert_allclose(output.weights, row.weights, rtol=0, atol=ROUNDING * np.abs(row.weights).sum())
    expected = row.weights @ given if row.direction is None else row.direction
    np.testing.assert_allclose(direction, expected, rtol=0, atol=ROUNDING * (np.abs(row.weights) @ np.abs(given)).max())


@every
def test_the_direction_is_the_weighted_sum(row):
    steps = steps_of(3, STEPS)
    _, direction, output = trained(row, steps)
    weights = output.weights.numpy()
    sizes = np.abs(weights) @ np.abs(steps.gradients[-1])
    close = np.abs(direction - weights @ steps.gradients[-1]) <= ROUNDING * sizes
    assert close.all() == row.plain
    np.testing.assert_allclose(output.value, weights @ steps.losses[-1], rtol=ROUNDING)


@pytest.mark.parametrize(
    "row", [r for r in FROM_GRADIENTS if not r.ordered], ids=[r.id for r in FROM_GRADIENTS if not r.ordered]
)
def test_losses_in_another_order_have_their_weights_in_that_order(row):
    steps, order = steps_of(4, STEPS), [0, 2, 3, 1] if row.first else [2, 0, 3, 1]
    _, direction, output = trained(row, steps)
    _, permuted_direction, permuted = trained(row, steps.of(order))
    np.testing.assert_allclose(permuted.weights, output.weights.numpy()[order], rtol=ROUNDING)
    np.testing.assert_allclose(permuted_direction, direction, rtol=ROUNDING, atol=64 * ROUNDING)


@every
def test_one_loss(row):
    steps = steps_of(1, STEPS)
    _, direction, output = trained(row, steps)
    one = output.weights[0] if row.one is None else row.one
    np.testing.assert_allclose(output.weights, [one], rtol=ROUNDING)
    np.testing.assert_allclose(direction, one * steps.gradients[-1, 0], rtol=ROUNDING)


@pytest.mark.parametrize("row", [r for r in FROM_GRADIENTS if r.units], ids=[r.id for r in FROM_GRADIENTS if r.units])
def test_units_of_the_losses(row):
    steps, units = steps_of(3, STEPS), np.array([1e-3, 1.0, 1e4])
    scaled = steps._replace(gradients=steps.gradients * units[:, np.newaxis], losses=steps.losses * units)
    plain, other = (trained(row, given)[2].weights.numpy() for given in (steps, scaled))
    np.testing.assert_allclose(other, plain if row.units == "none" else plain / units, rtol=10 * ROUNDING)


# Extremes


@every
@pytest.mark.parametrize("sizes", [[0, 1, 1], [1, 0, 1], [0, 0, 0], [1e7, 1, 1e-7], [1e-20, 1e-20, 1e-20]], ids=str)
def test_finite_gradients_have_finite_weights(row, sizes):
    steps = steps_of(3, STEPS)
    factors = np.array(sizes)[:, np.newaxis]  # whose squares' ratio float32 holds
    jacobians = tuple(jacobian * size for jacobian, size in zip(steps.jacobians, sizes, strict=True))
    given = steps._replace(gradients=steps.gradients * factors, jacobians=jacobians)
    # One step: a step on GradNorm's weights is as long as the gradients.
    blend, direction, output = trained(row, given, number=1)
    assert np.isfinite(output.weights).all()
    assert np.isfinite(direction).all()
    assert all(np.isfinite(values).all() for values in state_of(blend.gate).values())


@every
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan], ids=str)
def test_a_gradient_that_is_not_finite_is_seen_and_forgotten(row, bad):
    """The direction shows it; the state stays finite, and later steps are sound."""
    steps = steps_of(3, STEPS)
    blend, _, _ = trained(row, steps, number=2)
    broken = steps._replace(gradients=steps.gradients.copy())
    broken.gradients[2, 1, 2] = bad
    direction, _ = trainer(row, 3).step(broken, 2)
    assert not np.isfinite(direction).all()
    assert all(np.isfinite(values).all() for values in state_of(blend.gate).values())
    for step in range(3, STEPS):
        direction, output = trainer(row, 3).step(steps, step)
        assert np.isfinite(direction).all()
        assert np.isfinite(output.weights).all()


# State


@every
def test_outside_training_the_weights_are_those_of_the_last_step(row):
    steps = steps_of(3, STEPS)
    blend, _, output = trained(row, steps)
    before = state_of(blend.gate)
    values = dict(zip(blend.names, steps.losses[-1].astype(np.float32), strict=True))
    np.testing.assert_allclose(
        blend.compute_from_values(values, training=False, step=0).weights, output.weights, rtol=1e-6
    )
    for name, state in state_of(blend.gate).items():
        np.testing.assert_array_equal(state, before[name])


@every
def test_configuration_and_state_make_the_same_gate(row):
    steps = steps_of(3, 2 * STEPS)
    _, direction, output = trained(row, steps)
    stopped, _, _ = trained(row, steps, STEPS)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(stopped.gate)))
    again = Trainer(keras.saving.deserialize_keras_object(config), 3)
    gate = again.blend.gate
    assert gate.get_config() == stopped.gate.get_config()
    for source, target in zip(stopped.gate.variables, gate.variables, strict=True):
        assert source.path.split("/")[-1] == target.path.split("/")[-1]
        target.assign(source)
    for step in range(STEPS, 2 * STEPS):
        found = again.step(steps, step)
    np.testing.assert_array_equal(found[0], direction)
    np.testing.assert_array_equal(found[1].weights, output.weights)


@every
def test_a_frozen_gate_is_trained_no_more(row):
    steps = steps_of(3, 2)
    gate = row.make()
    gate.trainable = False
    blend, variable = blend_of(gate, 3), variable_of(6)
    assert blend.trainable_variables == []
    for step in range(2):
        _, output = train(blend, variable, *steps.at(step), step, RATE)
    if isinstance(gate, gates.GradNorm):
        np.testing.assert_allclose(output.weights, [1, 1, 1], rtol=ROUNDING)


# Regimes


@functools.cache
def eagerly(row):
    """Direction, value and weights of each eager step, and the state after the last."""
    blend, variable, steps = blend_of(row.make(), 3), variable_of(6), steps_of(3, STEPS)
    found = [train(blend, variable, *steps.at(step), step, RATE) for step in range(STEPS)]
    return [(direction, output.value, output.weights) for direction, output in found], state_of(blend.gate)


@every
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_every_regime_gives_the_same_in_one_trace(row, jit_compile):
    steps = steps_of(3, STEPS)
    expected, state = eagerly(row)
    of = trainer(row, 3)
    of.restart()
    function = tf.function(of._step, autograph=False, jit_compile=True) if jit_compile else of.traced
    for step in range(STEPS):
        direction, output = function(*steps.at(step), tf.constant(step, tf.int64))
        for a, b in zip((direction, *output), expected[step], strict=True):
            np.testing.assert_allclose(a, b, rtol=10 * ROUNDING, atol=10 * ROUNDING)
    assert function.experimental_get_tracing_count() == 1
    for name, values in state_of(of.blend.gate).items():
        np.testing.assert_allclose(values, state[name], rtol=10 * ROUNDING, atol=10 * ROUNDING)


@every
def test_double_precision(row):
    steps = steps_of(3, STEPS)
    rounded = Steps(*tf.nest.map_structure(np.float32, tuple(steps)))  # the same numbers to both
    blend, direction, output = trained(row, rounded, dtype="float64")
    assert all(variable.dtype in ("float64", "int64") for variable in blend.gate.variables)
    assert direction.dtype == tf.float64
    _, single_direction, single = trained(row, rounded)
    np.testing.assert_allclose(single.weights, output.weights, rtol=10 * ROUNDING)
    np.testing.assert_allclose(single_direction, direction, rtol=10 * ROUNDING, atol=100 * ROUNDING)


@every
def test_half_precision_of_the_gate(row):
    steps = steps_of(3, STEPS)
    expected = eagerly(row)[0][-1][2]
    gate = row.make()
    blend = blend_of(type(gate).from_config({**gate.get_config(), "dtype": "bfloat16"}), 3)
    variable = variable_of(6)
    for step in range(STEPS):
        _, output = train(blend, variable, *steps.at(step), step, RATE)
    # 8 bits in each step's state and logits; slopes are of signs, which do not change here.
    np.testing.assert_allclose(output.weights, expected, rtol=4 * STEPS * 2.0**-8)


@every
def test_replicas_agree_and_measure_the_whole_batch(row, replicas):
    steps = steps_of(3, STEPS)
    alone, direction, output = trained(row, steps)
    with replicas.scope():
        together, variable = blend_of(row.make(), 3), variable_of(6)

    def stepping(gradients, losses, jacobians, step):
        direction, output = train(together, variable, gradients, losses, jacobians, step, RATE)
        return tf.distribute.get_replica_context().all_reduce("sum", direction), output.weights

    function = tf.function(lambda *given: replicas.run(stepping, args=given))

    def given(step):
        gradients, losses, jacobians = steps.at(step)
        # Means over the halves of a batch, and the residuals of each half.
        parts = [
            (factor * gradients, factor * losses, tuple(jacobian[half::2] for jacobian in jacobians))
            for half, factor in enumerate((0.5, 1.5))
        ]
        return tf.nest.map_structure(
            lambda *values: replicas.experimental_distribute_values_from_function(
                lambda context: values[context.replica_id_in_sync_group]
            ),
            *parts,
        )

    for step in range(STEPS):
        found = function(*given(step), tf.constant(step, tf.int64))
    for both, expected in zip(found, (direction, output.weights), strict=True):
        first, second = replicas.experimental_local_results(both)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, expected, rtol=10 * ROUNDING, atol=100 * ROUNDING)
    for kept, expected in zip(together.gate.variables, alone.gate.variables, strict=True):
        for copy in replicas.experimental_local_results(kept.value):
            np.testing.assert_allclose(copy, expected, rtol=10 * ROUNDING, atol=10 * ROUNDING)


@every
@pytest.mark.parametrize("mode", ["hard", "annealed"])
def test_every_mode_weighs(row, mode):
    steps = steps_of(3, STEPS)
    _, direction, output = trained(row, steps, mode=mode)
    assert np.isfinite(output.weights).all()
    assert np.isfinite(direction).all()
    if row.plain or mode == "hard":
        expected = output.weights.numpy() @ steps.gradients[-1]
        np.testing.assert_allclose(direction, expected, rtol=ROUNDING, atol=100 * ROUNDING)
