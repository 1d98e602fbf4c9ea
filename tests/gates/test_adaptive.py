"""What holds for every gate that adapts to the values of the losses; each adds its rows to `ADAPTIVE`.

Golden values, permutations, one loss, losses that are 0, huge, equal, infinite or NaN, every regime, one trace, saving,
half precision, replicas, and what a row claims about the units of the losses.
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
from blendloss.gates import Needs, normalizers
from tests.executions import compiled
from tests.gates import golden
from tests.gates.values import blend_of, compute, falling, named, state_of, train

STEPS = 6


class Adaptive(NamedTuple):
    """A gate that treats K losses alike.

    `one` gives weight and value at one loss l. `units` is what happens to the weights of later steps where loss k has
    always been c_k times as large: "none" (weights do not change), "inverse" (they are 1 / c_k times as large),
    "inverse-shares" (the same, brought to their former total), or None (no claim). `zero` says whether a loss of
    exactly 0 has finite weights; `draws` whether a training step draws, so that no permutation holds there; `trained`
    names the variables that train.
    """

    id: str
    make: Callable[[int], gates.Gate]
    one: Callable[[float], tuple[float, float]] | None
    units: str | None = None
    zero: bool = True
    draws: bool = False
    trained: tuple[str, ...] = ()


ADAPTIVE = [
    Adaptive("imtl-l", lambda k: gates.IMTLL(), lambda x: (1, x), units="none", trained=("log_scales",)),
    Adaptive("logarithm", lambda k: gates.Logarithm(epsilon=0), lambda x: (1 / x, np.log(x)), "inverse", zero=False),
    Adaptive("logarithm-epsilon", lambda k: gates.Logarithm(), lambda x: (1 / x, np.log(x))),
    Adaptive("geometric-mean", lambda k: gates.GeometricMean(), lambda x: (1, x), units="inverse-shares"),
    Adaptive("tchebycheff", lambda k: gates.Tchebycheff(), lambda x: (1, x)),
    Adaptive("smooth-tchebycheff", lambda k: gates.SmoothTchebycheff(0.3), lambda x: (1, x)),
    Adaptive(  # with n the mean of losses 1 and 2
        "smooth-tchebycheff-multi-task",
        lambda k: gates.SmoothTchebycheff(0.3, warmup=1, averaging=2),
        lambda x: (1 / x, np.log(x / falling(1, STEPS)[1:3].mean())),
        units="inverse",
    ),
    Adaptive("pbi", lambda k: gates.PBI([1.0] * k, 2.0), lambda x: (1, x)),
    Adaptive("cosmos", lambda k: gates.COSMOS([1.0] * k, 0.5), lambda x: (1, x - 0.5)),
    Adaptive("famo", lambda k: gates.FAMO(weight_decay=0.1), lambda x: (1, x), units="inverse-shares"),
    Adaptive("famo-next-batch", lambda k: gates.FAMO(same_batch=False), lambda x: (1, x), units="inverse-shares"),
    Adaptive("exp3", lambda k: gates.Exp3(0.3, seed=4, history=4), lambda x: (1, x), units="none", draws=True),
    Adaptive("exp3-s", lambda k: gates.Exp3S(seed=4, rate=0.3, history=4), lambda x: (1, x), units="none", draws=True),
    Adaptive(
        "exp3-s-auer-next-batch",
        lambda k: gates.Exp3S(0.2, seed=4, form="auer", bonus=0.1, same_batch=False),
        lambda x: (1, x),
        units="none",
        draws=True,
    ),
    Adaptive("softadapt", lambda k: gates.SoftAdapt(2.0, order=2), lambda x: (1, x)),
    Adaptive("softadapt-normalized", lambda k: gates.SoftAdapt(2.0, order=1, normalize="sum"), lambda x: (1, x)),
    Adaptive(
        "softadapt-loss-weighted",
        lambda k: gates.SoftAdapt(order=2, every=1, normalize="absolute", loss_weighted=True),
        lambda x: (1, x),
    ),
    Adaptive("softadapt-ratio", lambda k: gates.SoftAdapt(1.0, rate="ratio"), lambda x: (1, x), units="none"),
    Adaptive(
        "softadapt-momentum",
        lambda k: gates.SoftAdapt(-2.0, order=1, every=1, total=None, momentum=0.9),
        lambda x: (1, x),
    ),
    Adaptive("relobralo", lambda k: gates.ReLoBRaLo(0.9, 0.5, 0.5, seed=2), lambda x: (1, x), units="none"),
    Adaptive("relobralo-code", lambda k: gates.ReLoBRaLo(0.9, 0.5, 0.5, seed=2, form="code"), lambda x: (1, x)),
    Adaptive("dwa", lambda k: gates.DWA(2), lambda x: (1, x), units="none"),
    Adaptive("dwa-sliding", lambda k: gates.DWA(2, 0.5, sliding=True), lambda x: (1, x), units="none"),
    Adaptive("random", lambda k: gates.Random(seed=4), lambda x: (1, x), units="none", draws=True),
    Adaptive("random-bernoulli", lambda k: gates.Random("bernoulli", seed=4), lambda x: (1, x), "none", draws=True),
    Adaptive(
        "normalized-initial",
        lambda k: gates.Normalized(),
        lambda x: (1 / falling(1, STEPS)[0, 0], x / falling(1, STEPS)[0, 0]),
        units="inverse",
    ),
    Adaptive(  # at memory 1, the last size
        "normalized-running",
        lambda k: gates.Normalized(normalizers.RunningMean(memory=1)),
        lambda x: (1 / falling(1, STEPS)[-2, 0], x / falling(1, STEPS)[-2, 0]),
        units="inverse",
    ),
    Adaptive(
        "normalized-rms",
        lambda k: gates.Normalized(normalizers.RootMeanSquare(memory=1), [1.0] * k),
        lambda x: (1 / falling(1, STEPS)[-2, 0], x / falling(1, STEPS)[-2, 0]),
        units="inverse",
    ),
]
every = pytest.mark.parametrize("row", ADAPTIVE, ids=[row.id for row in ADAPTIVE])
#: Weights are exponentials of logarithms of up to 10 in size, each rounded, over a sum; statistics as many roundings.
ROUNDING = 24 * 2.0**-23


MODES = {"soft": None, "hard": bl.modes.Hard()}


def stepping(blend):
    def step(losses, after, number):
        output = train(blend, losses, after, number, losses.dtype)
        return Read(output.value, output.weights)

    return step


class Read(NamedTuple):
    """What is looked at of a training step."""

    value: tf.Tensor
    weights: tf.Tensor


class Trainer:
    """A blend of three losses with its traced training step, which many tests share."""

    def __init__(self, gate, mode):
        self.blend = blend_of(gate, 3, MODES[mode])
        self.start = [variable.numpy() for variable in gate.variables]
        self.traced = tf.function(stepping(self.blend))

    def restart(self):
        for variable, value in zip(self.blend.gate.variables, self.start, strict=True):
            variable.assign(value)

    def step(self, losses, number, after=None):
        return self.traced(*given(losses, losses if after is None else after, number))


def given(losses, after, number):
    return tf.constant(losses, tf.float32), tf.constant(after, tf.float32), tf.constant(number)


@functools.cache
def _trainer(row, mode):
    return Trainer(row.make(3), mode)


def trainer(row, mode="soft"):
    """That of this row, at its first state; `test_every_regime_gives_the_same_in_one_trace` has it compared."""
    of = _trainer(row, mode)
    of.restart()
    return of


def trained(row, losses, mode="soft"):
    """The row's trainer after a training step at each of `losses` but the last, each update leading to the next."""
    of = trainer(row, mode)
    for number, (before, after) in enumerate(zip(losses[:-1], losses[1:], strict=True)):
        of.step(before, number, after)
    return of


def weights_after(row, losses):
    return compute(trained(row, losses).blend, losses[-1]).weights.numpy()


def trained_eagerly(row, k, losses, dtype="float32", loss_dtype="float32"):
    """A blend of its own after the same steps."""
    gate = row.make(k)
    gate = type(gate).from_config({**gate.get_config(), "dtype": dtype})
    blend = blend_of(gate, k)
    for step, (before, after) in enumerate(zip(losses[:-1], losses[1:], strict=True)):
        train(blend, before, after, step, loss_dtype)
    return blend


class Eager(NamedTuple):
    """What eager steps give: at each, at the end, and the gate's state half-way."""

    steps: list[Read]
    gate: gates.Gate
    weights: np.ndarray
    state: dict[str, np.ndarray]
    half_way: dict[str, np.ndarray]


@functools.cache
def eagerly(row):
    losses, blend, steps = falling(3, 2 * STEPS), blend_of(row.make(3), 3), []
    for number, (before, after) in enumerate(zip(losses[:-1], losses[1:], strict=True)):
        if number == STEPS:
            half_way = state_of(blend.gate)
        steps.append(stepping(blend)(*given(before, after, number)))
    return Eager(steps, blend.gate, compute(blend, losses[-1]).weights.numpy(), state_of(blend.gate), half_way)


# Values


@pytest.mark.parametrize("row", [*golden.SCALARIZATIONS, *golden.PROGRESS, *golden.RATES], ids=lambda row: row.id)
def test_golden(row):
    blend = blend_of(row.make(), len(row.weights))
    progress = row.progress or row.losses[:-1]
    for step, (losses, after) in enumerate(zip(row.losses[:-1], progress, strict=True)):
        train(blend, losses, after, step)
    output = compute(blend, row.losses[-1])
    size = np.abs(row.weights).sum()
    np.testing.assert_allclose(output.weights, row.weights, rtol=0, atol=ROUNDING * size)
    sizes = np.abs(row.weights) @ row.losses[-1] + abs(row.value)
    np.testing.assert_allclose(output.value, row.value, rtol=0, atol=ROUNDING * max(sizes, 1))
    np.testing.assert_array_equal(output.weights == 0, np.equal(row.weights, 0))


@every
def test_losses_in_another_order_have_their_weights_in_that_order(row):
    losses, order = falling(4, STEPS), [2, 0, 3, 1]
    if row.draws:
        losses = losses[-1:]
    weights = [compute(trained_eagerly(row, 4, one), one[-1]).weights.numpy() for one in (losses, losses[:, order])]
    np.testing.assert_allclose(weights[1], weights[0][order], rtol=ROUNDING)


@every
def test_one_loss(row):
    losses = falling(1, STEPS)
    output = compute(trained_eagerly(row, 1, losses), losses[-1])
    weight, value = row.one(losses[-1, 0])
    np.testing.assert_allclose(output.weights, [weight], rtol=ROUNDING)
    np.testing.assert_allclose(output.value, value, rtol=0, atol=ROUNDING * (abs(value) + weight * losses[-1, 0] + 1))


@pytest.mark.parametrize("row", [row for row in ADAPTIVE if row.units], ids=[row.id for row in ADAPTIVE if row.units])
def test_units_of_the_losses(row):
    losses, units = falling(3, STEPS), np.array([1e-3, 1.0, 1e4])
    plain, scaled = weights_after(row, losses), weights_after(row, losses * units)
    expected = plain if row.units == "none" else plain / units
    if row.units == "inverse-shares":
        scaled, expected = scaled / scaled.sum(), expected / expected.sum()
    # A relative change of 2^-24 in a loss moves its logarithm's change by as much; FAMO divides a sum of such by
    # its own running size, of 0.1 and more here.
    np.testing.assert_allclose(scaled, expected, rtol=10 * ROUNDING)


# Extremes


@every
@pytest.mark.parametrize(
    "losses",
    [[0.0, 2.0, 3.0], [0.0, 0.0, 0.0], [1e30, 2e30, 1e29], [1e30, 1.0, 1e-30], [1e-30, 2e-30, 1e-29], [2.0, 2.0, 2.0]],
    ids=["zero", "zeros", "huge", "apart", "tiny", "equal"],
)
def test_finite_losses_have_finite_weights(row, losses):
    of = trainer(row)
    if 0.0 in losses and not row.zero:
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be"):
            of.step(losses, 0)
        return
    for number in range(4):
        output = of.step(losses, number)
        assert np.isfinite(output.weights).all()
        assert np.isfinite(output.value)
    assert all(np.isfinite(values).all() for values in state_of(of.blend.gate).values())


@every
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bad", [np.inf, np.nan], ids=["infinite", "nan"])
def test_a_loss_that_is_not_finite_is_seen_and_forgotten(row, bad, mode):
    """The value shows it, where that loss is trained at all; the state stays as it was, and later steps are sound."""
    losses = falling(3, STEPS)
    of = trained(row, losses, mode)
    before = state_of(of.blend.gate)
    broken = losses[-1].copy()
    broken[1] = bad
    output = of.step(broken, STEPS)
    trains = output.weights[1] != 0 or mode == "soft"
    assert not np.isfinite(output.value) or not trains or row.draws
    if row.draws and output.weights[1] == 0:
        assert np.isfinite(output.value)  # a loss that was not drawn is no part of this step
    of.step(losses[-1], STEPS + 1)
    for name, values in state_of(of.blend.gate).items():
        assert np.isfinite(values).all(), name
    assert np.isfinite(compute(of.blend, losses[-1]).value)
    if "xi" in before and row.id == "famo":
        assert state_of(of.blend.gate)["skipped"] == 1


@every
def test_one_exploding_loss_leaves_every_weight_finite(row):
    losses = falling(3, STEPS)
    losses[:, 2] = 10.0 ** np.arange(0, 5 * STEPS + 1, 5)
    blend = trained(row, losses).blend
    assert np.isfinite(compute(blend, losses[-1]).weights).all()
    assert all(np.isfinite(values).all() for values in state_of(blend.gate).values())


# State


@every
def test_an_evaluation_outside_training_changes_nothing(row):
    losses = falling(3, STEPS)
    blend = trained(row, losses).blend
    before = state_of(blend.gate)
    compute(blend, losses[0])
    for name, values in state_of(blend.gate).items():
        np.testing.assert_array_equal(values, before[name])


@every
def test_configuration_and_state_make_the_same_gate(row):
    losses, straight = falling(3, 2 * STEPS), eagerly(row)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(straight.gate)))
    again = blend_of(keras.saving.deserialize_keras_object(config), 3)
    assert again.gate.get_config() == straight.gate.get_config()
    assert list(state_of(again.gate)) == list(straight.half_way)
    for variable, value in zip(again.gate.variables, straight.half_way.values(), strict=True):
        variable.assign(value)
    for step in range(STEPS, 2 * STEPS):
        train(again, losses[step], losses[step + 1], step)
    np.testing.assert_array_equal(compute(again, losses[-1]).weights, straight.weights)
    for name, values in state_of(again.gate).items():
        np.testing.assert_array_equal(values, straight.state[name])


@every
def test_only_trained_gates_have_trainable_variables(row):
    blend = blend_of(row.make(2), 2)
    assert tuple(v.name for v in blend.trainable_variables) == row.trained


# Regimes


@every
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_every_regime_gives_the_same_in_one_trace(row, jit_compile):
    losses, of, eager = falling(3, 2 * STEPS), trainer(row), eagerly(row)
    function = compiled(of.traced, *given(losses[0], losses[1], 0)) if jit_compile else of.traced
    for number, (before, after) in enumerate(zip(losses[:-1], losses[1:], strict=True)):
        found = function(*given(before, after, number))
        for a, b in zip(found, eager.steps[number], strict=True):
            np.testing.assert_allclose(a, b, rtol=10 * ROUNDING, atol=10 * ROUNDING)
    assert function.experimental_get_tracing_count() == of.traced.experimental_get_tracing_count() == 1
    for name, values in state_of(of.blend.gate).items():
        # As of `test_units_of_the_losses`.
        np.testing.assert_allclose(values, eager.state[name], rtol=10 * ROUNDING, atol=10 * ROUNDING)


@every
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_precision(row, dtype):
    losses = falling(3, STEPS)
    blend = trained_eagerly(row, 3, losses, dtype, "float64" if dtype == "float64" else "float32")
    weights = compute(blend, losses[-1]).weights
    assert all(variable.dtype in (dtype, "float32", "int64") for variable in blend.gate.variables)
    expected = weights_after(row, losses)
    # Weights of logits of up to 5 in size, rounded to 8 or 11 bits; then a state of as many bits over the steps.
    bits = {"float16": 10, "bfloat16": 7, "float64": 20}[dtype]
    np.testing.assert_allclose(weights, expected, rtol=8 * 2.0**-bits, atol=8 * 2.0**-bits)


@every
def test_replicas_agree_and_see_the_mean_of_their_losses(row, replicas):
    losses = falling(3, STEPS)
    alone = trainer(row)
    with replicas.scope():
        together = blend_of(row.make(3), 3)
    function = tf.function(stepping(together))

    def halves(values):
        parts = [values * 0.5, values * 1.5]  # whose mean they are
        return replicas.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group].astype(np.float32))
        )

    for number, (before, after) in enumerate(zip(losses[:-1], losses[1:], strict=True)):
        expected = alone.step(before, number, after)
        values, weights = replicas.run(function, args=(halves(before), halves(after), tf.constant(number)))
        first, second = replicas.experimental_local_results(weights)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, expected.weights, rtol=10 * ROUNDING, atol=10 * ROUNDING)
        total = replicas.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)  # as gradients are added up
        np.testing.assert_allclose(total, expected.value, rtol=10 * ROUNDING, atol=10 * ROUNDING)
    for variable, of_one in zip(together.gate.variables, alone.blend.gate.variables, strict=True):
        for copy in replicas.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy, of_one, rtol=10 * ROUNDING, atol=10 * ROUNDING)


@every
def test_combine_and_call_give_the_same(row):
    targets, predictions = np.zeros((8, 1), np.float32), np.linspace(0.5, 2, 8, dtype=np.float32)[:, np.newaxis]
    called = bl.Blend({"a": "mse", "b": "mae"}, row.make(2))
    output = called.compute(targets, predictions, step=0)
    losses = [np.mean(predictions**2), np.mean(predictions)]
    np.testing.assert_allclose(output.value, train(blend_of(row.make(2), 2), losses).value, rtol=1e-5)
    np.testing.assert_allclose(output.losses, losses, rtol=1e-6)
    if Needs.PROGRESS in called.gate.needs:
        called.gate.observe_progress(named(losses))
