"""Learned gates that normalise their losses: values, what is kept, gradients, ends, replicas, and what they choose."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Learned, normalizers, regularizers
from tests.gates import golden

LOSSES = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}
LOGITS = [0.4, -0.3]
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum()
NORMALIZERS = {
    "initial": lambda: normalizers.InitialValue(),
    "running": lambda: normalizers.RunningMean(memory=5),
    "rms": lambda: normalizers.RootMeanSquare(memory=5),
    "likelihood": lambda: normalizers.Likelihood(),
    "likelihood-scale": lambda: normalizers.Likelihood([0.5, 2.0]),
}
every_normalizer = pytest.mark.parametrize("name", NORMALIZERS)
EPS = 2.0**-23
STEPS = 12
RESIDUALS = (np.random.default_rng(0).normal(size=(STEPS, 8, 1)) * np.linspace(3, 1, STEPS)[:, None, None]).astype(
    np.float32
)


def blend_of(normalize, initial=None, losses=LOSSES, mode=None, regularize=(), dtype="float32", **options):
    return bl.Blend(
        losses, Learned(initial, normalize=normalize, regularizers=regularize, dtype=dtype), mode, **options
    )


def read(blend, residual, **options):
    residual = tf.convert_to_tensor(residual)
    return blend.compute(tf.zeros_like(residual), residual, **{"step": 0, **options})


def sizes(residual):
    residual = np.float64(residual)
    return np.array([np.mean(residual**2), np.mean(np.abs(residual))])


def state_of(blend):
    return {variable.name: variable.numpy() for variable in blend.gate.variables}


# Values


@pytest.mark.parametrize("row", golden.NORMALIZERS, ids=lambda row: row.id)
def test_golden(row):
    blend = blend_of(row.make())
    for residual in row.residuals:
        value = read(blend, [[residual]]).value
    # Two quotients, or two exponentials and logarithms, and their sum.
    np.testing.assert_allclose(value, row.value, rtol=8 * EPS)


def test_initial_divides_by_the_first_value_ever_after():
    blend = blend_of("initial", LOGITS)
    for residual in RESIDUALS:
        output = read(blend, residual)
        factors = SHARES / sizes(RESIDUALS[0])
        # A mean of eight squares, a softmax and a quotient.
        np.testing.assert_allclose(output.weights, factors, rtol=16 * EPS)
        np.testing.assert_allclose(output.losses, sizes(residual), rtol=8 * EPS)
        np.testing.assert_allclose(output.value, factors @ sizes(residual), rtol=24 * EPS)
    np.testing.assert_allclose(blend.gate.normalize.first_values, sizes(RESIDUALS[0]), rtol=8 * EPS)


@pytest.mark.parametrize("memory", [1.0, 5.0, 1e6])
def test_running_divides_by_the_weighted_mean_of_all_sizes_seen(memory):
    blend = blend_of(normalizers.RunningMean(memory), LOGITS)
    for t, residual in enumerate(RESIDUALS):
        output = read(blend, residual)
        ages = (1 - 1 / memory) ** np.arange(t + 1)[::-1]
        means = ages @ [sizes(seen) for seen in RESIDUALS[: t + 1]] / ages.sum()
        # Each step rounds the difference, the rate and the sum; those of all steps may add up.
        np.testing.assert_allclose(output.weights, SHARES / means, rtol=(8 + 4 * STEPS) * EPS)
    np.testing.assert_array_equal(blend.gate.normalize.skipped, [0, 0])


def test_with_a_memory_of_one_the_gate_stands_still():
    blend = blend_of(normalizers.RunningMean(1), LOGITS)
    for residual in RESIDUALS[:3]:
        with tf.GradientTape() as tape:
            value = read(blend, residual).value
        np.testing.assert_allclose(value, 1.0, rtol=4 * EPS)
        np.testing.assert_allclose(tape.gradient(value, blend.gate.logits.value), [0, 0], atol=4 * EPS)


LAWS = {  # penalty, -log of its density at scale c
    "normal": (bl.losses.SquaredError(), lambda r, c: (r / c) ** 2 + np.log(c * np.sqrt(np.pi))),
    "laplace": (bl.losses.AbsoluteError(), lambda r, c: np.abs(r / c) + np.log(2 * c)),
    "cauchy": (bl.losses.Cauchy(2**0.5), lambda r, c: np.log1p((r / c) ** 2 / 2) + np.log(np.pi * np.sqrt(2) * c)),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none", "mean_with_sample_weight"])
def test_likelihood_is_the_mean_of_negative_log_densities(reduction, weighted):
    scales, logits = [0.5, 2.0, 1.5], [0.4, -0.3, 0.1]
    shares = np.exp(logits) / np.exp(logits).sum()
    gate = Learned(logits, normalize=normalizers.Likelihood(scales), dtype="float64")
    blend = bl.Blend({name: penalty for name, (penalty, _) in LAWS.items()}, gate, reduction=reduction)
    residual = np.random.default_rng(1).normal(size=(6, 2))
    weight = np.arange(1.0, 7.0) if weighted else np.ones(6)
    value = read(blend, residual, sample_weight=weight if weighted else None).value
    densities = [f(residual, c) for (_, f), c in zip(LAWS.values(), scales, strict=True)]
    by_example = (shares @ np.reshape(densities, [3, -1])).reshape(6, 2).mean(axis=1) * weight
    expected = {
        "none": by_example,
        "sum": by_example.sum(),
        "sum_over_batch_size": by_example.mean(),
        "mean_with_sample_weight": by_example.sum() / weight.sum(),
    }[reduction]
    np.testing.assert_allclose(value, expected, rtol=1e-10)  # log Z is a quadrature, good to 1e-11


def test_likelihood_bounds_the_mixtures_from_above():
    residual = np.random.default_rng(1).standard_cauchy(size=(50, 1))
    gate = Learned(LOGITS, normalize=normalizers.Likelihood([0.5, 2.0]), dtype="float64")
    value = float(read(bl.Blend(LOSSES, gate), residual).value)
    densities = np.exp([-LAWS["normal"][1](residual, 0.5), -LAWS["laplace"][1](residual, 2.0)])[..., 0]
    assert value >= -np.log(SHARES @ densities).mean()


def test_likelihood_takes_its_unit_from_the_first_step():
    blend = blend_of("likelihood")
    assert float(read(blend, RESIDUALS[1], training=False).value) == float(
        read(blend_of(normalizers.Likelihood(1.0)), RESIDUALS[1]).value
    )
    for residual in RESIDUALS:
        read(blend, residual)
    np.testing.assert_allclose(blend.gate.normalize.unit, np.abs(RESIDUALS[0]).mean(), rtol=8 * EPS)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_with_the_likelihood_no_unit_of_the_residuals_matters(factor):
    """The same training, value for value, but for the constant log(factor)."""
    values = []
    for unit in (1.0, factor):
        blend, optimizer = blend_of("likelihood", dtype="float64"), keras.optimizers.SGD(0.1)
        optimizer.build(blend.trainable_variables)
        for residual in np.array(RESIDUALS, np.float64):
            with tf.GradientTape() as tape:
                value = read(blend, unit * residual).value
            gradients = tape.gradient(value, [variable.value for variable in blend.trainable_variables])
            optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))
        values.append([float(value), *blend.gate.logits.numpy(), *blend.gate.normalize.log_scales.numpy()])
    # Keras's learning rate is float32, the same in both.
    np.testing.assert_allclose(np.subtract(values[1], values[0]), [math.log(factor), 0, 0, 0, 0], rtol=0, atol=1e-12)


@every_normalizer
def test_regularisers_come_on_top(name):
    shares = tf.nn.softmax(LOGITS)
    plain = read(blend_of(NORMALIZERS[name](), LOGITS), RESIDUALS[0])
    extra = [regularizers.Entropy(0.5), regularizers.LoadBalance(2.0)]
    both = read(blend_of(NORMALIZERS[name](), LOGITS, regularize=extra), RESIDUALS[0])
    expected = sum(float(regularizer(shares)) for regularizer in extra)
    np.testing.assert_allclose(both.cost - plain.cost, expected, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(both.value - plain.value, expected, rtol=0, atol=8 * EPS)


# Gradients


@every_normalizer
def test_gradients_against_finite_differences(name):
    blend = blend_of(NORMALIZERS[name](), LOGITS, dtype="float64", regularize=[regularizers.Entropy(0.25)])
    start = np.float64(RESIDUALS[0])
    read(blend, start)  # what is kept is kept from here on: readings below do not train
    predictions, variables = tf.Variable(np.float64(RESIDUALS[1])), [v.value for v in blend.trainable_variables]
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum()

    def value():
        return read(blend, predictions, training=False).value

    with tf.GradientTape() as tape:
        result = value()
    gradients = tape.gradient(result, [predictions, *variables])
    for variable, gradient in zip([predictions, *blend.trainable_variables], gradients, strict=True):
        at = variable.numpy()
        expected = np.zeros_like(at)
        for place in np.ndindex(at.shape):
            ends = []
            for h in (1e-6, -1e-6):
                shifted = at.copy()
                shifted[place] += h
                variable.assign(shifted)
                ends.append(float(value()))
            expected[place] = (ends[0] - ends[1]) / 2e-6
        variable.assign(at)
        if variable.name == "log_scales":
            expected = expected / shares  # each scale follows its own density, whatever its share
        # Central differences in float64: |L| eps / h + h^2 |L'''|, about 1e-9.
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8, err_msg=variable.name)


@pytest.mark.parametrize("mode", [bl.modes.Soft(bl.modes.sparsemax), bl.modes.Hard()], ids=["sparsemax", "hard"])
def test_a_scale_learns_where_its_share_is_zero(mode):
    blend = blend_of(normalizers.Likelihood(1.0), [9.0, 0.0], mode=mode, dtype="float64")
    residual = np.float64(RESIDUALS[0])
    with tf.GradientTape() as tape:
        output = read(blend, residual)
    gradient = tape.gradient(output.value, blend.gate.normalize.log_scales.value)
    np.testing.assert_array_equal(output.weights, [1, 0])
    # d/d log c of mean (r/c)^2 + log c, and of mean |r/c| + log c, at c = 1.
    np.testing.assert_allclose(gradient, [1 - 2 * np.mean(residual**2), 1 - np.abs(residual).mean()], rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_with_sample_weight"])
def test_each_scale_follows_its_own_likelihood_with_sample_weights(reduction):
    r, w = np.array([[0.1], [5.0], [-0.7]]), np.array([1.0, 0.1, 3.0])
    normalize = bl.gates.normalizers.Likelihood(scale=1.0)
    gate = bl.gates.Learned([2.0, -1.0], normalize=normalize, dtype="float64")
    losses = {"squared": bl.losses.SquaredError(), "absolute": bl.losses.AbsoluteError()}
    blend = bl.Blend(losses, gate, reduction=reduction)
    with tf.GradientTape() as tape:
        value = blend(np.zeros_like(r), r, w, step=0)
    # d (r^2 / c^2 + log c) / d log c = 1 - 2 r^2, and 1 - |r|, at c = 1: of each example, whatever the shares.
    slopes = (w[:, np.newaxis] * np.concatenate([1 - 2 * r**2, 1 - np.abs(r)], axis=1)).sum(axis=0)
    number = {"mean": len(w), "sum": 1.0, "mean_with_sample_weight": w.sum()}[reduction]
    # Sums of three in float64.
    np.testing.assert_allclose(tape.gradient(value, gate.normalize.log_scales.value), slopes / number, rtol=1e-14)


def test_scales_come_to_the_maximum_likelihood_of_what_counts():
    residual = np.r_[np.random.default_rng(0).normal(size=30), np.full(10, 1e6)].reshape(-1, 1)
    blend, optimizer = blend_of("likelihood", [3.0, 0.0], dtype="float64"), keras.optimizers.Adam(0.05)
    scales = blend.gate.normalize.log_scales
    optimizer.build([scales])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = read(blend, residual, sample_weight=np.r_[np.ones(30), np.zeros(10)]).value
        optimizer.apply_gradients([(tape.gradient(value, scales.value), scales)])

    for _ in range(200):
        step()
    kept = residual[:30]
    # c^2 = 2 mean r^2 and c = mean |r|: within the 1e-4 that Adam leaves.
    expected = [np.sqrt(2 * np.mean(kept**2)), np.abs(kept).mean()]
    np.testing.assert_allclose(blend.gate.batch_independent_gating().scale, expected, rtol=1e-3)


# What is kept


@every_normalizer
def test_variables_and_what_changes_them(name):
    blend = blend_of(NORMALIZERS[name](), LOGITS)
    trained, kept = {
        "initial": (["logits"], ["first_values"]),
        "running": (["logits"], ["means", "seen", "skipped"]),
        "rms": (["logits"], ["means", "seen", "skipped"]),
        "likelihood": (["logits", "log_scales"], ["unit"]),
        "likelihood-scale": (["logits", "log_scales"], []),
    }[name]
    assert [variable.name for variable in blend.trainable_variables] == trained
    assert [variable.name for variable in blend.non_trainable_variables] == kept
    assert blend.gate.stateful == bool(kept)
    before = state_of(blend)
    read(blend, RESIDUALS[0], training=False)
    np.testing.assert_equal(state_of(blend), before)
    read(blend, RESIDUALS[0])
    after = state_of(blend)
    assert any((after[one] != before[one]).any() for one in before) == bool(kept)
    for one in trained:
        np.testing.assert_array_equal(after[one], before[one])


@every_normalizer
def test_configuration_and_state_come_back(name):
    blend = blend_of(NORMALIZERS[name](), LOGITS, regularize=[regularizers.KL([0.3, 0.7], 0.1)])
    for residual in RESIDUALS[:3]:
        read(blend, residual)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert again.get_config() == blend.get_config()
    assert again.gate.normalize is not blend.gate.normalize
    for source, target in zip(blend.gate.variables, again.gate.variables, strict=True):
        target.assign(source)
    for residual in RESIDUALS[3:6]:
        for a, b in zip(read(again, residual), read(blend, residual), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_equal(state_of(again), state_of(blend))


def test_names_are_short_for_default_objects():
    for name, made in {
        "initial": normalizers.InitialValue(),
        "running": normalizers.RunningMean(),
        "rms": normalizers.RootMeanSquare(),
        "likelihood": normalizers.Likelihood(),
    }.items():
        found = Learned(normalize=name).normalize
        assert (type(found), found.get_config()) == (type(made), made.get_config())
    assert Learned().normalize is None


@every_normalizer
def test_the_normaliser_owns_its_state(name):
    """A layer that the gate holds: its variables are the gate's, and have its dtype."""
    blend = blend_of(NORMALIZERS[name](), dtype="float64")
    own = blend.gate.normalize.variables
    assert {id(one) for one in blend.gate.variables} == {id(one) for one in [blend.gate.logits, *own]}
    assert all(variable.dtype in ("float64", "int64") for variable in own)
    assert all(variable.path.startswith(f"{blend.gate.name}/{blend.gate.normalize.name}/") for variable in own)


@every_normalizer
def test_a_normaliser_belongs_to_one_gate(name):
    normalizer = NORMALIZERS[name]()
    first = blend_of(normalizer)
    with pytest.raises(ValueError, match=r"give each gate a normaliser of its own.*Received: .* of the gate '.*' in"):
        blend_of(normalizer)
    bl.Blend(LOSSES, first.gate)  # blends of the same losses may share the gate, and so its normaliser
    again = type(normalizer).from_config(normalizer.get_config())
    assert not {id(one) for one in blend_of(again).variables} & {id(one) for one in first.variables}


def test_a_normaliser_that_does_not_fit_one_blend_may_fit_another():
    normalizer = normalizers.Likelihood([1.0, 2.0])
    with pytest.raises(ValueError, match="`scale` must have one number for each"):
        blend_of(normalizer, losses={"mae": LOSSES["mae"]})
    assert [variable.name for variable in blend_of(normalizer).gate.normalize.variables] == ["log_scales"]


@every_normalizer
def test_without_a_blend_a_normaliser_says_so(name):
    with pytest.raises(ValueError, match="belongs to no blend yet"):
        NORMALIZERS[name]().gating(tf.zeros([2]), bl.gates.Context(step=0, training=False))


def test_scales_that_are_frozen_stay_frozen_in_a_copy():
    gate = Learned(normalize="likelihood")
    gate.normalize.trainable = False
    for blend in (bl.Blend(LOSSES, gate), bl.Blend(LOSSES, gate).fresh()):
        assert [variable.name for variable in blend.trainable_variables] == ["logits"]


# Ends


@pytest.mark.parametrize("bad", [0.0, math.inf, math.nan, 1e-42], ids=["0", "inf", "nan", "subnormal"])
def test_a_first_value_that_nothing_can_be_divided_by_is_passed_over(bad):
    blend = bl.Blend(["a", "b"], Learned(normalize="initial"))
    weights = [
        blend.compute_from_values({"a": a, "b": 4.0}, step=0).weights.numpy().tolist()
        for a in (bad, bad, 2.0, 8.0, bad)
    ]
    assert weights == [[0.5, 0.125]] * 2 + [[0.25, 0.125]] * 3


@pytest.mark.parametrize("running", [normalizers.RunningMean, normalizers.RootMeanSquare])
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_value_that_is_not_finite_leaves_its_running_mean_and_is_counted(bad, running):
    blend = bl.Blend(["a", "b"], Learned(normalize=running(2)))
    for a in (bad, 3.0, bad, bad):
        output = blend.compute_from_values({"a": a, "b": 2.0}, step=0)
    np.testing.assert_array_equal(blend.gate.normalize.skipped, [3, 0])
    np.testing.assert_allclose(output.weights, [0.5 / 3, 0.25], rtol=4 * EPS)


@pytest.mark.parametrize("name", ["running", "rms"])
def test_running_mean_of_zeros_divides_by_one(name):
    blend = bl.Blend(["a", "b"], Learned(normalize=name))
    output = blend.compute_from_values({"a": 0.0, "b": 2.0}, step=0)
    assert output.weights.numpy().tolist() == [0.5, 0.25]
    assert np.isfinite(blend.compute_from_values({"a": 1.0, "b": 2.0}, step=0).value)


@pytest.mark.parametrize("name", ["initial", "running", "rms"])
def test_negative_values_are_divided_by_their_size(name):
    output = bl.Blend(["a", "b"], Learned(normalize=name)).compute_from_values({"a": -4.0, "b": 2.0}, step=0)
    assert output.weights.numpy().tolist() == [0.125, 0.25]
    assert float(output.value) == 0.0


@pytest.mark.parametrize("name", ["initial", "running", "rms"])
def test_a_loss_that_is_off_may_be_infinite(name):
    blend = bl.Blend(["a", "b"], Learned([0.0, -300.0], normalize=name))
    output = blend.compute_from_values({"a": 4.0, "b": math.inf}, step=0)
    assert float(output.value) == 1.0


@every_normalizer
def test_one_loss(name):
    normalizer = normalizers.Likelihood(2.0) if name == "likelihood-scale" else NORMALIZERS[name]()
    blend = blend_of(normalizer, losses={"mae": LOSSES["mae"]})
    value = read(blend, [[3.0]]).value
    likelihoods = {"likelihood": 1 + math.log(6), "likelihood-scale": 1.5 + math.log(4)}
    expected = {"initial": 1, "running": 1, "rms": 1, **likelihoods}[name]
    np.testing.assert_allclose(value, expected, rtol=4 * EPS)


@every_normalizer
def test_an_empty_batch_is_zero_and_is_not_kept(name):
    blend = blend_of(NORMALIZERS[name]())
    assert float(read(blend, tf.zeros([0, 1])).value) == 0.0
    read(blend, RESIDUALS[0])
    reference = blend_of(NORMALIZERS[name]())
    read(reference, RESIDUALS[0])
    if name not in ("running", "rms"):  # to which 0 is a value like any other
        np.testing.assert_equal(state_of(blend), state_of(reference))


def test_residuals_of_zero_and_infinity_leave_the_scales_finite():
    for bad in (0.0, math.inf, math.nan):
        blend = blend_of("likelihood")
        with tf.GradientTape() as tape:
            value = read(blend, [[bad], [0.0]]).value
        gradient = tape.gradient(value, blend.gate.normalize.log_scales.value)
        assert float(blend.gate.normalize.unit) == 0
        assert np.isfinite(gradient).all() == (bad == 0)  # an infinite loss cannot hide


def test_a_frozen_gate_keeps_dividing_by_what_all_losses_were():
    gate = Learned([0.0, 1.0], normalize="initial")
    gate.trainable = False
    blend = bl.Blend(LOSSES, gate, bl.modes.Hard())
    read(blend, [[4.0]])
    output = read(blend, [[2.0]])
    assert float(output.value) == 0.5
    np.testing.assert_array_equal(output.losses, [4.0, 2.0])
    np.testing.assert_array_equal(output.weights, [0.0, 0.25])


# Regimes


@every_normalizer
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_every_regime_gives_the_same_in_one_trace(name, jit_compile):
    def step_of(blend):
        def step(residual, index):
            with tf.GradientTape() as tape:
                tape.watch(residual)
                value = read(blend, residual, step=index).value
            variables = [variable.value for variable in blend.trainable_variables]
            gradients = tape.gradient(value, [residual, *variables])
            for variable, gradient in zip(blend.trainable_variables, gradients[1:], strict=True):
                variable.assign_sub(0.05 * gradient)
            return value, gradients[0]

        return step

    coefficient = bl.schedules.linear(1.0, 0.0, steps=9)
    eager, compiled = (
        blend_of(NORMALIZERS[name](), LOGITS, regularize=[regularizers.Entropy(coefficient)]) for _ in range(2)
    )
    signature = [tf.TensorSpec([None, 1]), tf.TensorSpec([], tf.int64)]
    function = tf.function(step_of(compiled), input_signature=signature, jit_compile=jit_compile)
    for index, residual in enumerate(RESIDUALS):
        arguments = tf.constant(residual), tf.constant(index, tf.int64)
        for found, expected in zip(function(*arguments), step_of(eager)(*arguments), strict=True):
            # A dozen roundings a step, of numbers up to 20, carried on through the steps.
            np.testing.assert_allclose(found, expected, rtol=12 * STEPS * EPS, atol=12 * STEPS * EPS)
    assert function.experimental_get_tracing_count() == 1


@every_normalizer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(name, dtype):
    blend = blend_of(NORMALIZERS[name](), dtype=dtype)
    for residual in RESIDUALS[:3]:
        output = read(blend, tf.cast(residual, "float64" if dtype == "float64" else "float32"))
    assert all(variable.dtype in (dtype, "int64") for variable in blend.gate.variables)
    reference = blend_of(NORMALIZERS[name](), dtype="float64")
    for residual in RESIDUALS[:3]:
        expected = read(reference, np.float64(residual))
    unit = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}[dtype]
    np.testing.assert_allclose(output.value, expected.value, rtol=16 * unit, atol=16 * unit)


@every_normalizer
def test_replicas_keep_the_state_of_one_device(name, replicas):
    with replicas.scope():
        blend = blend_of(NORMALIZERS[name](), LOGITS)
    alone = blend_of(NORMALIZERS[name](), LOGITS)

    @tf.function
    def step(residual):
        def run(part):
            with tf.GradientTape() as tape:
                value = read(blend, part).value
            return value, tape.gradient(value, [variable.value for variable in blend.trainable_variables])

        return replicas.run(run, args=(residual,))

    for residual in RESIDUALS[:4]:
        parts = residual[:4], residual[4:]
        given = replicas.experimental_distribute_values_from_function(
            lambda context, parts=parts: tf.constant(parts[context.replica_id_in_sync_group])
        )
        values, gradients = step(given)
        with tf.GradientTape() as tape:
            expected = read(alone, residual).value
        slopes = tape.gradient(expected, [variable.value for variable in alone.trainable_variables])
        # The blend divides a mean by the number of replicas; their gradients are summed.
        np.testing.assert_allclose(sum(replicas.experimental_local_results(values)), expected, rtol=16 * EPS)
        for gradient, slope in zip(gradients, slopes, strict=True):
            total = sum(np.float64(part) for part in replicas.experimental_local_results(gradient))
            np.testing.assert_allclose(total, slope, rtol=0, atol=40 * EPS)
    for variable, other in zip(blend.gate.variables, alone.gate.variables, strict=True):
        for copy in replicas.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy, other, rtol=16 * EPS)


# What they choose


def fitted(residual, normalize, steps=300):
    """The shares and the gate, trained on residuals that do not change."""
    blend, optimizer = blend_of(normalize), keras.optimizers.Adam(0.05)
    optimizer.build(blend.trainable_variables)

    @tf.function
    def step(values):
        with tf.GradientTape() as tape:
            value = read(blend, values, step=optimizer.iterations).value
        gradients = tape.gradient(value, [variable.value for variable in blend.trainable_variables])
        optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))

    for _ in range(steps):
        step(tf.constant(residual, tf.float32))
    return tf.nn.softmax(blend.gate.logits).numpy(), blend.gate


@pytest.mark.parametrize("unit", [0.05, 20.0])
@pytest.mark.parametrize(("law", "right"), [("normal", 0), ("laplace", 1)])
def test_by_likelihood_the_right_law_is_chosen_in_any_unit_and_by_numbers_it_is_not(law, right, unit):
    residual = unit * getattr(np.random.default_rng(0), law)(size=(4000, 1))
    shares, gate = fitted(residual, "likelihood")
    # The laws differ by 0.05 to 0.07 nats, seven standard errors of the mean of 4,000.
    assert shares[right] > 0.95
    # The maximum-likelihood scales, to the 1e-3 that Adam leaves.
    scales = [np.sqrt(2 * np.mean(residual**2)), np.abs(residual).mean()]
    np.testing.assert_allclose(gate.batch_independent_gating().scale, scales, rtol=1e-2)
    smallest = int(np.argmin(sizes(residual)))
    naive, _ = fitted(residual, None)
    assert naive[smallest] > 0.95
    assert smallest == (0 if unit < 1 else 1)  # whatever the law


def test_running_does_not_choose_among_losses_that_stand_still():
    residual = 0.05 * np.random.default_rng(0).laplace(size=(400, 1))
    shares, _ = fitted(residual, "running")
    assert abs(shares[0] - 0.5) < 0.05


# Arguments


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Learned(normalize="size"), ValueError, "`normalize` must be one of"),
        (lambda: Learned(normalize=3.0), TypeError, "`normalize` must be None, a name or a normaliser"),
        (lambda: normalizers.RunningMean(0.5), ValueError, "`memory` must be at least 1"),
        (lambda: normalizers.RunningMean(math.inf), ValueError, "`memory` must be finite"),
        (lambda: normalizers.RunningMean("long"), TypeError, "`memory` must be a real number"),
        (lambda: normalizers.Likelihood(0.0), ValueError, "`scale` must be positive"),
        (lambda: normalizers.Likelihood([1.0, -1.0]), ValueError, r"`scale\[1\]` must be positive"),
        (lambda: normalizers.Likelihood("wide"), TypeError, "`scale` must be a real number"),
        (lambda: blend_of(normalizers.Likelihood([1.0])), ValueError, "`scale` must have one number for each"),
        (lambda: blend_of("likelihood", losses={"mse": "mse"}), TypeError, "every loss must be a penalty"),
        (
            lambda: blend_of("likelihood", losses={"tukey": bl.losses.Tukey(4.0)}),
            ValueError,
            "of `tukey` must have a finite integral",
        ),
        (
            lambda: blend_of("likelihood", losses={"cauchy": bl.losses.Cauchy(1.0)}),
            ValueError,
            "of `cauchy` must have a finite integral",
        ),
        (lambda: bl.Blend(["a"], Learned(normalize="likelihood")), ValueError, "needs residuals"),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=f"{message}.*Received"):
        make()


def test_combine_divides_too_and_refuses_a_likelihood():
    blend = bl.Blend(["a", "b"], Learned(normalize="initial"))
    assert float(blend.combine({"a": [2.0, 6.0], "b": 100.0}, step=0)) == 1.0
    with pytest.raises(ValueError, match="`combine`"):
        blend_of("likelihood").combine({"mse": 1.0, "mae": 1.0}, step=0)
