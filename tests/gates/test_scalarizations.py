"""Gates that are a function of the losses: F in value and gradient in every mode, limits, ranges, what they refuse."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from tests.gates.values import blend_of, compute, named, state_of, train

W, Z = [0.2, 0.5, 0.3], [-0.1, 0.3, 0.05]
#: F of float64 losses, from its formula.
FORMULAS = {
    "logarithm": (lambda: gates.Logarithm(W, dtype="float64"), lambda x: np.log(x + 1e-8) @ W),
    "geometric-mean": (lambda: gates.GeometricMean(dtype="float64"), lambda x: np.prod(x) ** (1 / 3)),
    "geometric-mean-exponents": (
        lambda: gates.GeometricMean([1.5, 0.0, 0.5], dtype="float64"),
        lambda x: x[0] ** 1.5 * x[2] ** 0.5,
    ),
    "pbi": (
        lambda: gates.PBI(W, 3.0, Z, dtype="float64"),
        lambda x: _along(x) + 3 * np.linalg.norm(x - Z - _along(x) * np.divide(W, np.linalg.norm(W))),
    ),
    "cosmos": (
        lambda: gates.COSMOS(W, 2.0, dtype="float64"),
        lambda x: x @ W - 2 * (x @ W) / np.linalg.norm(W) / np.linalg.norm(x),
    ),
}
CHOICES = {
    "tchebycheff": (lambda: gates.Tchebycheff(W, Z, dtype="float64"), lambda x: np.max(np.multiply(W, x - Z))),
    "smooth-tchebycheff": (
        lambda: gates.SmoothTchebycheff(0.1, W, Z, dtype="float64"),
        lambda x: 0.1 * np.log(np.exp(np.multiply(W, x - Z) / 0.1).sum()),
    ),
    "smooth-tchebycheff-multi-task": (
        lambda: _averaged(gates.SmoothTchebycheff(0.5, W, averaging=1, dtype="float64")),
        lambda x: 3 * 0.5 * np.log(np.exp(np.multiply(W, np.log(x / [1.0, 2.0, 0.5] + 1e-20)) / 0.5).sum()),
    ),
}
MODES = [bl.modes.Soft(), bl.modes.Soft(bl.modes.sparsemax), bl.modes.Annealed(0.3), bl.modes.Hard()]


def _along(x):
    return (x - Z) @ np.divide(W, np.linalg.norm(W))


def _averaged(gate):
    """`gate` after n is known, as the mean of one step's losses."""
    blend = blend_of(gate, 3)
    for losses in ([1.0, 2.0, 0.5], [1.0, 1.0, 1.0]):
        train(blend, losses, dtype="float64")
    return gate


def losses_at(x):
    """Three losses of two parameters."""
    return tf.stack([x[0] ** 2 + 0.5, tf.exp(x[1]) + x[0] ** 2, (x[0] - x[1]) ** 2 + 0.2])


def blended(make, mode=None, at=(0.7, -0.4)):
    """The blend of the losses at parameters `at`, the losses, and the blend's gradient in the parameters."""
    x = tf.Variable(at, dtype=tf.float64)
    blend = blend_of(make(), 3, mode)
    with tf.GradientTape() as tape:
        losses = losses_at(x)
        output = blend.compute_from_values(dict(zip("abc", tf.unstack(losses), strict=True)), step=0, training=False)
    return output, losses.numpy(), tape.gradient(output.value, x).numpy()


@pytest.mark.parametrize("mode", MODES, ids=["softmax", "sparsemax", "annealed", "hard"])
@pytest.mark.parametrize("name", FORMULAS)
def test_value_is_the_function_in_every_mode(name, mode):
    make, function = FORMULAS[name]
    output, losses, _ = blended(make, mode)
    np.testing.assert_allclose(output.value, function(losses), rtol=1e-13)


@pytest.mark.parametrize("name", [*FORMULAS, *CHOICES])
def test_value_and_gradient_under_soft_are_the_functions(name):
    make, function = {**FORMULAS, **CHOICES}[name]
    at = np.array([0.7, -0.4])
    output, losses, found = blended(make, at=at)
    np.testing.assert_allclose(output.value, function(losses), rtol=1e-13)
    shifts = 1e-6 * np.eye(2)
    expected = [(function(losses_at(at + h).numpy()) - function(losses_at(at - h).numpy())) / 2e-6 for h in shifts]
    # Central differences in float64: error ~ |F| eps / h + h^2 |F'''| ~ 1e-9.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["smooth-tchebycheff", "smooth-tchebycheff-multi-task"])
def test_hard_smooth_tchebycheff_is_tchebycheff_and_no_mode_is_above_soft(name):
    make, _ = CHOICES[name]
    soft, losses, _ = blended(make)
    behind = np.multiply(W, losses - Z)
    if "multi" in name:
        behind = 3 * np.multiply(W, np.log(losses / [1.0, 2.0, 0.5]))
    hard = blended(make, bl.modes.Hard())[0]
    np.testing.assert_allclose(hard.value, behind.max(), rtol=1e-13)
    assert np.flatnonzero(hard.weights).tolist() == [behind.argmax()]
    if "multi" not in name:
        plain = blended(CHOICES["tchebycheff"][0])[0]
        np.testing.assert_allclose(hard.value, plain.value, rtol=1e-13)
        np.testing.assert_allclose(hard.weights, plain.weights, rtol=1e-13)
    for mode in MODES[1:]:
        assert blended(make, mode)[0].value <= soft.value + 1e-12


@pytest.mark.parametrize("smoothness", [1e-8, 1e-3, 1.0, 1e3])
def test_smooth_maximum_lies_between_the_maximum_and_mu_log_k_above(smoothness):
    losses = [1.0, 4.0, 0.25]
    value = compute(
        blend_of(gates.SmoothTchebycheff(smoothness, [1.0] * 3, dtype="float64"), 3), losses, dtype="float64"
    ).value
    assert 4.0 <= value <= 4.0 + smoothness * np.log(3) * (1 + 1e-12)


def test_smooth_tchebycheff_of_large_mu_has_the_weights_of_the_preference():
    weights = compute(blend_of(gates.SmoothTchebycheff(1e9, W), 3), [1.0, 4.0, 0.25]).weights
    np.testing.assert_allclose(weights, np.divide(W, 3), rtol=1e-6)


@pytest.mark.parametrize("losses", [[1e30, 2e30, 3e30], [3e30, 3e30, 3e30]], ids=["apart", "equal"])
def test_smooth_tchebycheff_of_large_losses_over_a_small_mu(losses):
    output = compute(blend_of(gates.SmoothTchebycheff(1e-10), 3), losses)
    np.testing.assert_allclose(output.value, 1e30, rtol=1e-6)


def test_equal_losses_of_tchebycheff_train_the_first():
    np.testing.assert_array_equal(compute(blend_of(gates.Tchebycheff([1.0, 1.0]), 2), [2.0, 2.0]).weights, [1, 0])


def test_nadir_averages_its_steps_skips_what_is_not_finite_and_then_stays():
    gate = gates.SmoothTchebycheff(1.0, warmup=2, averaging=2)
    blend = blend_of(gate, 2)
    for losses in ([9, 9], [8, 8], [1, 2], [np.inf, 1], [3, 4], [7, 7], [6, 6]):
        train(blend, losses)
    state = state_of(gate)
    np.testing.assert_array_equal(state["nadir"], [2, 3])
    assert (state["averaged"], state["skipped"], state["known"], state["steps"]) == (2, 1, 1, 7)


def test_a_loss_of_0_throughout_averaging_counts_in_its_own_units():
    blend = blend_of(gates.SmoothTchebycheff(1.0, averaging=1), 2)
    for _ in range(2):
        train(blend, [0.0, 2.0])
    np.testing.assert_allclose(compute(blend, [3.0, 2.0]).weights, [2 * 3 / 4 / 3, 2 * 1 / 4 / 2], rtol=1e-6)


# Penalties of the angle


@pytest.mark.parametrize("k", [2, 3, 11])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e-20, 1.0, 3.7, 1e25])
def test_pbi_on_the_direction_is_the_projection(k, dtype, size):
    preference = np.arange(1.0, k + 1)
    blend = blend_of(gates.PBI(preference, 50.0, dtype=dtype), k) if k < 9 else None
    if blend is None:
        blend = bl.Blend([str(i) for i in range(k)], gates.PBI(preference, 50.0, dtype=dtype))
    values = dict(zip(blend.names, tf.unstack(tf.constant(size * preference, dtype)), strict=True))
    weights = blend.compute_from_values(values).weights
    np.testing.assert_allclose(weights, preference / np.linalg.norm(preference), rtol=1e-6)


def test_pbi_a_little_beside_the_direction_has_the_whole_penalty():
    """The subgradient of the direction itself is taken where rounding alone leads beside it, and nowhere else."""
    weights = compute(
        blend_of(gates.PBI([1.0, 1.0], 1.0, dtype="float64"), 2), [1.0, 1.0 + 1e-12], dtype="float64"
    ).weights
    np.testing.assert_allclose(weights, [0, np.sqrt(2)], rtol=0, atol=1e-3)  # 1e-12 is known to 4 digits


@pytest.mark.parametrize("make", [lambda w: gates.PBI(w, 0.0), lambda w: gates.COSMOS(w, 0.0)], ids=["pbi", "cosmos"])
def test_no_penalty_leaves_a_weighted_sum(make):
    weights = compute(blend_of(make([3.0, 4.0]), 2), [5.0, 0.1]).weights
    np.testing.assert_allclose(weights / weights[0], [1, 4 / 3], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-18, 1e-3, 1e18])
@pytest.mark.parametrize("name", ["pbi", "cosmos"])
def test_sizes_whose_squares_leave_the_range(name, size):
    make = {"pbi": lambda: gates.PBI([1.0, 1.0], 1.0), "cosmos": lambda: gates.COSMOS([size**-1] * 2, 1.0)}[name]
    output = compute(blend_of(make(), 2), [3 * size, size])
    if name == "pbi":
        np.testing.assert_allclose(output.weights, [np.sqrt(2), 0], atol=1e-6)
        np.testing.assert_allclose(output.value, size * (4 + 2) / np.sqrt(2), rtol=1e-6)
    else:  # r . l = 4, cos = 4 / sqrt(20); direction less cosine times unit is (-1, 3) / sqrt(2) / 5
        np.testing.assert_allclose(output.value, 4 - 4 / np.sqrt(20), rtol=1e-6)
        turning = np.array([-1, 3]) / np.sqrt(2) / 5 / np.sqrt(10)
        np.testing.assert_allclose(np.array(output.weights) * size, 1 - turning, rtol=1e-5)


# IMTL-L


def test_imtl_l_trained_by_gradient_descent():
    """SGD at 0.1 on constant losses: s <- s - 0.1 (e^s l - 1), three steps, worked out in float64."""
    gate = gates.IMTLL(dtype="float64")
    blend, losses = blend_of(gate, 3), [1.0, 4.0, 0.25]
    seen = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            value = compute(blend, losses, training=True, dtype="float64").value
        gate.log_scales.assign_sub(0.1 * tape.gradient(value, gate.log_scales.value))
        seen.append(gate.log_scales.numpy())
    expected = [
        [0, -0.3, 0.075],
        [0, -0.496327288272687, 0.148052896227884],
        [0, -0.63983223534507, 0.219063540431795],
    ]
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-14)


def test_imtl_l_brings_every_loss_to_one():
    gate = gates.IMTLL()
    blend, losses = blend_of(gate, 3), [1e-3, 5.0, 300.0]
    optimizer = keras.optimizers.Adam(0.1, beta_2=0.9)  # the usual one remembers the first gradient, of 299, for long
    for _ in range(400):
        with tf.GradientTape() as tape:
            value = compute(blend, losses, training=True).value
        optimizer.apply_gradients([(tape.gradient(value, gate.log_scales.value), gate.log_scales)])
    output = compute(blend, losses)
    np.testing.assert_allclose(output.weights * losses, [1, 1, 1], rtol=1e-2)
    np.testing.assert_allclose(output.value, 3 + np.log(losses).sum(), rtol=1e-3)


# What they refuse

_NEGATIVE = {
    "logarithm": (lambda: gates.Logarithm(), "must be above -1e-08"),
    "geometric-mean": (lambda: gates.GeometricMean(), "must be >= 0"),
}


@pytest.mark.parametrize("name", _NEGATIVE)
def test_losses_out_of_range_are_caught_in_the_graph(name):
    make, message = _NEGATIVE[name]
    blend = blend_of(make(), 2)
    for regime in (lambda f: f, tf.function):
        run = regime(lambda losses: blend.compute_from_values(named(losses)).value)
        assert np.isfinite(run(tf.constant([1.0, 2.0])))
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            run(tf.constant([-1.0, 2.0]))
    compiled = tf.function(lambda losses: blend.compute_from_values(named(losses)).value, jit_compile=True)
    assert np.isnan(compiled(tf.constant([-1.0, 2.0])))


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("weights", lambda: gates.Logarithm([1, 2])),
        ("exponents", lambda: gates.GeometricMean([1, 2])),
        ("preference", lambda: gates.Tchebycheff([1, 2])),
        ("ideal", lambda: gates.Tchebycheff(ideal=[1, 2])),
        ("preference", lambda: gates.SmoothTchebycheff(1.0, [1, 2])),
        ("ideal", lambda: gates.SmoothTchebycheff(1.0, ideal=[1, 2])),
        ("preference", lambda: gates.PBI([1, 2])),
        ("ideal", lambda: gates.PBI([1, 2, 3], ideal=[1, 2])),
        ("preference", lambda: gates.COSMOS([1, 2], 1.0)),
        ("initial", lambda: gates.IMTLL([1, 2])),
        ("lower_bounds", lambda: gates.FAMO([1, 2])),
    ],
)
def test_a_vector_of_two_does_not_fit_three_losses(argument, make):
    with pytest.raises(ValueError, match=f"`{argument}` must have one number for each of the 3 losses.*Received:"):
        blend_of(make(), 3)


@pytest.mark.parametrize(
    ("error", "argument", "make"),
    [
        (TypeError, "weights", lambda: gates.Logarithm("ab")),
        (ValueError, "weights", lambda: gates.Logarithm([1, -1])),
        (ValueError, "epsilon", lambda: gates.Logarithm(epsilon=-1.0)),
        (ValueError, "exponents", lambda: gates.GeometricMean([0.0, 0.0])),
        (ValueError, "preference", lambda: gates.Tchebycheff([float("nan"), 1])),
        (ValueError, "ideal", lambda: gates.Tchebycheff(ideal=[float("inf"), 1])),
        (ValueError, "smoothness", lambda: gates.SmoothTchebycheff(0.0)),
        (TypeError, "smoothness", lambda: gates.SmoothTchebycheff("1")),
        pytest.param(
            ValueError, "warmup", lambda: gates.SmoothTchebycheff(1.0, warmup=-1, averaging=1), id="warmup below 0"
        ),
        pytest.param(
            ValueError, "warmup", lambda: gates.SmoothTchebycheff(1.0, warmup=3), id="warmup without averaging"
        ),
        (ValueError, "averaging", lambda: gates.SmoothTchebycheff(1.0, averaging=0)),
        (ValueError, "ideal", lambda: gates.SmoothTchebycheff(1.0, ideal=[1.0], averaging=1)),
        (TypeError, "preference", lambda: gates.PBI(None)),
        (ValueError, "penalty", lambda: gates.PBI([1.0], -1.0)),
        (TypeError, "preference", lambda: gates.COSMOS(3.0, 1.0)),
        (ValueError, "penalty", lambda: gates.COSMOS([1.0], float("nan"))),
        (ValueError, "initial", lambda: gates.IMTLL(float("inf"))),
        (TypeError, "initial", lambda: gates.IMTLL("s")),
    ],
)
def test_a_bad_argument_is_named(error, argument, make):
    with pytest.raises(error, match=rf"`{argument}(\[\d+\])?` must .*Received:"):
        make()
