"""What normalizers divide losses by, the gradients they leave, and losses that are 0, negative or not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Learned, normalizers, regularizers
from tests.gates import golden
from tests.gates.normalized import (
    EPS,
    LOGITS,
    LOSSES,
    NORMALIZERS,
    RESIDUALS,
    SHARES,
    STEPS,
    blend_of,
    compute,
    every_normalizer,
    fitted,
    sizes,
    state_of,
)

# Values


@pytest.mark.parametrize("row", golden.NORMALIZERS, ids=lambda row: row.id)
def test_golden(row):
    blend = blend_of(row.make())
    for residual in row.residuals:
        value = compute(blend, [[residual]]).value
    # Two quotients, or two exponentials and logarithms, and their sum.
    np.testing.assert_allclose(value, row.value, rtol=8 * EPS)


def test_initial_divides_by_the_first_value_ever_after():
    blend = blend_of("initial", LOGITS)
    for residual in RESIDUALS:
        output = compute(blend, residual)
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
        output = compute(blend, residual)
        ages = (1 - 1 / memory) ** np.arange(t + 1)[::-1]
        means = ages @ [sizes(seen) for seen in RESIDUALS[: t + 1]] / ages.sum()
        # Each step rounds the difference, the rate and the sum; those of all steps may add up.
        np.testing.assert_allclose(output.weights, SHARES / means, rtol=(8 + 4 * STEPS) * EPS)
    np.testing.assert_array_equal(blend.gate.normalize.skipped, [0, 0])


def test_with_a_memory_of_one_the_gate_stands_still():
    blend = blend_of(normalizers.RunningMean(1), LOGITS)
    for residual in RESIDUALS[:3]:
        with tf.GradientTape() as tape:
            value = compute(blend, residual).value
        np.testing.assert_allclose(value, 1.0, rtol=4 * EPS)
        np.testing.assert_allclose(tape.gradient(value, blend.gate.logits.value), [0, 0], atol=4 * EPS)


@every_normalizer
def test_regularizers_are_added(name):
    shares = tf.nn.softmax(LOGITS)
    plain = compute(blend_of(NORMALIZERS[name](), LOGITS), RESIDUALS[0])
    extra = [regularizers.Entropy(0.5), regularizers.LoadBalance(2.0)]
    both = compute(blend_of(NORMALIZERS[name](), LOGITS, regularize=extra), RESIDUALS[0])
    expected = sum(float(regularizer(shares)) for regularizer in extra)
    np.testing.assert_allclose(both.cost - plain.cost, expected, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(both.value - plain.value, expected, rtol=0, atol=8 * EPS)


def test_running_does_not_choose_among_losses_that_stand_still():
    residual = 0.05 * np.random.default_rng(0).laplace(size=(400, 1))
    shares, _ = fitted(residual, "running")
    assert abs(shares[0] - 0.5) < 0.05


def test_combine_divides_too_and_refuses_a_likelihood():
    blend = bl.Blend(["a", "b"], Learned(normalize="initial"))
    assert float(blend.combine({"a": [2.0, 6.0], "b": 100.0}, step=0)) == 1.0
    with pytest.raises(ValueError, match="`combine`"):
        blend_of("likelihood").combine({"mse": 1.0, "mae": 1.0}, step=0)


# Gradients


@every_normalizer
def test_gradients_against_finite_differences(name):
    blend = blend_of(NORMALIZERS[name](), LOGITS, dtype="float64", regularize=[regularizers.Entropy(0.25)])
    start = np.float64(RESIDUALS[0])
    compute(blend, start)  # what is kept is kept from here on: evaluations below do not train
    predictions, variables = tf.Variable(np.float64(RESIDUALS[1])), [v.value for v in blend.trainable_variables]
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum()

    def value():
        return compute(blend, predictions, training=False).value

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


# Extreme losses


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
    value = compute(blend, [[3.0]]).value
    likelihoods = {"likelihood": 1 + math.log(6), "likelihood-scale": 1.5 + math.log(4)}
    expected = {"initial": 1, "running": 1, "rms": 1, **likelihoods}[name]
    np.testing.assert_allclose(value, expected, rtol=4 * EPS)


@every_normalizer
def test_an_empty_batch_is_zero_and_is_not_kept(name):
    blend = blend_of(NORMALIZERS[name]())
    assert float(compute(blend, tf.zeros([0, 1])).value) == 0.0
    compute(blend, RESIDUALS[0])
    reference = blend_of(NORMALIZERS[name]())
    compute(reference, RESIDUALS[0])
    if name not in ("running", "rms"):  # to which 0 is a value like any other
        np.testing.assert_equal(state_of(blend), state_of(reference))


def test_a_frozen_gate_keeps_dividing_by_what_all_losses_were():
    gate = Learned([0.0, 1.0], normalize="initial")
    gate.trainable = False
    blend = bl.Blend(LOSSES, gate, bl.modes.Hard())
    compute(blend, [[4.0]])
    output = compute(blend, [[2.0]])
    assert float(output.value) == 0.5
    np.testing.assert_array_equal(output.losses, [4.0, 2.0])
    np.testing.assert_array_equal(output.weights, [0.0, 0.25])


# Arguments


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Learned(normalize="size"), ValueError, "`normalize` must be one of"),
        (lambda: Learned(normalize=3.0), TypeError, "`normalize` must be None, a name or a normalizer"),
        (lambda: normalizers.RunningMean(0.5), ValueError, "`memory` must be at least 1"),
        (lambda: normalizers.RunningMean(math.inf), ValueError, "`memory` must be finite"),
        (lambda: normalizers.RunningMean("long"), TypeError, "`memory` must be a real number"),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=f"{message}.*Received"):
        make()
