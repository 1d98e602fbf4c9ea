"""The gate that keeps a posterior: the bound, the regimes, what it learns, saving."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

import blendloss as bl
from blendloss import modes
from blendloss._internal.random import GUMBEL, POSTERIOR, gumbel, uniform
from blendloss.gates import Bayesian, families
from tests.gates.posteriors import FAMILIES, every_family, parameters

MODES = {
    "soft": modes.Soft(),
    "sparsemax": modes.Soft(modes.sparsemax),
    "annealed": modes.Annealed(0.5, seed=0),
    "hard": modes.Hard(),
    "reinmax": modes.Hard(modes.ReinMax(0)),
}


def blend_of(family, mode=None, **named):
    gate = Bayesian(family, **{"examples": 100, "seed": 0, **named})
    return bl.Blend({"a": "mse", "b": "mae", "c": "log_cosh"}, gate, mode)


# The gate


@every_family
def test_the_total_is_minus_the_bound_per_example(family):
    made = FAMILIES[family][0]
    gate = Bayesian(made, examples=50, seed=4, coefficient=bl.schedules.linear(0.0, 1.0, steps=10), dtype="float64")
    blend = bl.Blend(["a", "b", "c"], gate)
    for name, given in FAMILIES[family][1].items():
        gate._parameters[name].assign(given)
    values = {"a": tf.constant(2.0, tf.float64), "b": 3.0, "c": 5.0}
    output = blend.compute_from_values(values, step=5)
    shares = tf.nn.softmax(
        made.sample(parameters(family), uniform([made.uniforms, 3], 4, tf.constant(5), tf.float64, POSTERIOR))
    ).numpy()
    divergence = float(tfp.distributions.kl_divergence(gate.posterior(), gate.prior()))
    np.testing.assert_allclose(output.weights, shares, rtol=1e-12)
    np.testing.assert_allclose(output.cost, 0.5 * divergence / 50, rtol=1e-12)
    np.testing.assert_allclose(output.value, shares @ [2, 3, 5] + 0.5 * divergence / 50, rtol=1e-12)


@every_family
def test_outside_training_the_weights_are_those_of_the_point_estimate(family):
    blend = blend_of(FAMILIES[family][0])
    weights = [blend.compute([[0.0]], [[2.0]], step=step, training=False).weights.numpy() for step in (0, 1)]
    np.testing.assert_array_equal(*weights)
    expected = np.array([0.5, 1.0, 3.0]) / 4.5 if family == "dirichlet" else special.softmax([0.0, 1.0, -1.0])
    np.testing.assert_allclose(weights[0], expected, rtol=1e-6)


def test_samples_change_with_step_and_seed_and_are_not_the_modes():
    def weights(seed, step):
        return blend_of(families.LogisticNormal(), seed=seed).compute([[0.0]], [[2.0]], step=step).weights.numpy()

    assert (weights(0, 0) == weights(0, 0)).all()
    assert (weights(0, 0) != weights(0, 1)).all()
    assert (weights(0, 0) != weights(1, 0)).all()
    own, modes_ = (uniform([1000], 0, tf.constant(0), tf.float64, stream) for stream in (POSTERIOR, GUMBEL))
    assert abs(np.corrcoef(own, modes_)[0, 1]) < 4 / np.sqrt(1000)


@pytest.mark.parametrize(
    ("family", "mode"),
    [*(("logistic-normal", mode) for mode in MODES), ("dirichlet", "soft"), ("dirichlet", "reinmax")],
)
def test_every_mode_trains_it_in_every_regime(family, mode):
    blend = blend_of(FAMILIES[family][0], MODES[mode])
    variables = [v.value for v in blend.trainable_variables]

    def step(number, y, prediction):
        with tf.GradientTape() as tape:
            output = blend.compute(y, prediction, step=number)
        return output, tape.gradient(output.value, variables)

    signature = [tf.TensorSpec([], tf.int64), tf.TensorSpec([None, 2]), tf.TensorSpec([None, 2])]
    y, prediction = tf.zeros([5, 2]), tf.constant(np.random.default_rng(0).normal(size=(5, 2)), tf.float32)
    compiled = [tf.function(step, input_signature=signature, jit_compile=xla) for xla in (False, True)]
    for number in (0, 1, 10**10):
        eager = step(tf.constant(number, tf.int64), y, prediction)
        assert all(np.isfinite(gradient).all() for gradient in eager[1])
        for function in compiled:
            result = function(tf.constant(number, tf.int64), y, prediction)
            for a, b in zip(tf.nest.flatten(result), tf.nest.flatten(eager), strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    assert all(function.experimental_get_tracing_count() == 1 for function in compiled)


def test_uniform_numbers_have_the_same_bits_in_every_regime():
    def numbers(step):
        return uniform([2, 3], 7, step, tf.float64, POSTERIOR), uniform([5], 7, step), gumbel(tf.zeros([4]), 7, step)

    for step in (tf.constant(0, tf.int64), tf.constant(10**12, tf.int64)):
        eager = numbers(step)
        for jit_compile in (False, True):
            result = tf.function(numbers, jit_compile=jit_compile)(step)
            for a, b in zip(result[:2], eager[:2], strict=True):
                np.testing.assert_array_equal(a, b)
        assert all(((x > 0) & (x < 1)).numpy().all() for x in eager[:2])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(
    "family",
    [families.Dirichlet(1e-3), families.Dirichlet(1e3), families.LogisticNormal(0, 50)],
    ids=["Dirichlet(1e-3)", "Dirichlet(1e3)", "LogisticNormal(0, 50)"],
)
def test_extremes_stay_on_the_simplex(family, dtype):
    blend = blend_of(family, dtype=dtype)
    for step in range(20):
        output = blend.compute([[0.0]], [[2.0]], step=step)
        np.testing.assert_allclose(np.sum(output.weights), 1, rtol=1e-2)
        assert np.isfinite(output.value)


def test_one_loss_has_the_weight_1():
    gate = Bayesian(families.Dirichlet(), examples=10, seed=0)
    assert float(bl.Blend({"a": "mse"}, gate)([[0.0]], [[2.0]], step=0)) == 4.0


def test_replicas_draw_the_same_and_share_one_cost(replicas):
    def made():
        blend = blend_of(families.Dirichlet(2.0))
        blend.gate._parameters["log_concentration"].assign([0.0, 1.0, 2.0])
        return blend

    with replicas.scope():
        blend = made()
    compute = tf.function(lambda: blend.compute(tf.zeros([2, 1]), tf.ones([2, 1]), step=tf.constant(3)))
    output = replicas.run(compute)
    first, second = replicas.experimental_local_results(output.weights)
    np.testing.assert_array_equal(first, second)
    alone = made().compute(tf.zeros([2, 1]), tf.ones([2, 1]), step=3)
    np.testing.assert_allclose(first, alone.weights, rtol=1e-6)
    for cost in replicas.experimental_local_results(output.cost):
        np.testing.assert_allclose(cost, alone.cost, rtol=1e-6)
    # In the value, which the replicas sum, it counts once.
    np.testing.assert_allclose(sum(replicas.experimental_local_results(output.value)), alone.value, rtol=1e-6)
    assert float(alone.cost) > 0


# What it learns


def test_the_fitted_dirichlet_maximizes_the_bound():
    """The bound of a Dirichlet has a closed form, N sum_k a_k l_k / A + KL: a numerical optimum to compare with."""
    from scipy.optimize import minimize

    n, losses = 20.0, np.array([0.3, 0.4, 0.9])
    prior = {"log_concentration": tf.zeros([3], tf.float64)}
    family = families.Dirichlet()

    def bound(theta):
        a = np.exp(theta)
        return n * a @ losses / a.sum() + float(family.divergence({"log_concentration": tf.constant(theta)}, prior))

    best = minimize(bound, np.zeros(3), tol=1e-10).x
    gate = Bayesian(family, examples=n, seed=2, dtype="float64")
    blend = bl.Blend(["a", "b", "c"], gate)
    (variable,) = blend.trainable_variables

    @tf.function
    def average(steps):
        mean = tf.zeros([3], tf.float64)
        for step in tf.range(steps):
            with tf.GradientTape() as tape:
                value = blend.combine(dict(zip("abc", losses, strict=True)), step=step)
            gradient = tape.gradient(value, variable.value)
            rate = 2 / (1 + tf.cast(step, tf.float64) / 200)
            variable.assign_sub(rate * gradient)
            mean += tf.where(step >= steps // 2, tf.convert_to_tensor(variable), 0.0) / tf.cast(steps // 2, tf.float64)
        return mean

    fitted = average(6000)
    assert bound(fitted.numpy()) < bound(best) + 0.02
    assert bound(np.zeros(3)) > bound(best) + 0.3
    np.testing.assert_allclose(special.softmax(fitted.numpy()), special.softmax(best), rtol=0, atol=0.03)


def test_more_examples_move_it_further():
    """What the docstring says: the blend is linear in g, and N alone decides how far q goes to the smallest loss."""

    def share_of_smallest(n):
        values = {"small": 1.0, "large": 1.5}
        blend = bl.Blend(list(values), Bayesian(families.LogisticNormal(), examples=n, seed=0))
        optimizer = keras.optimizers.Adam(0.05)
        optimizer.build(blend.trainable_variables)

        @tf.function
        def step(number):
            with tf.GradientTape() as tape:
                value = blend.combine(values, step=number)
            gradients = tape.gradient(value, blend.trainable_variables)
            optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))

        for number in range(300):
            step(tf.constant(number))
        return float(blend.compute_from_values(values, step=0, training=False).weights[0])

    shares = [share_of_smallest(n) for n in (1, 30, 1000)]
    assert 0.5 < shares[0] < 0.7 < shares[1] < shares[2]
    assert shares[2] > 0.95


# Saving it, refusing


@every_family
def test_configuration_and_state_round_trip(family, tmp_path):
    gate = Bayesian(FAMILIES[family][0], examples=7, seed=-3, coefficient=bl.schedules.linear(0.0, 1.0, steps=5))
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(gate))))
    assert again.get_config() == gate.get_config()
    assert again.family == gate.family

    def model_of(gate):
        keras.utils.set_random_seed(0)
        blend = bl.Blend({"a": "mse", "b": "mae", "c": "log_cosh"}, gate)
        model = bl.BlendedModel(keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]), blend)
        model.compile("adam")
        return model

    x, y = np.ones((16, 2), "float32"), np.ones((16, 1), "float32")
    one, other = model_of(gate), model_of(again)
    one.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    other.fit(x, y, epochs=1, batch_size=8, shuffle=False, verbose=0)
    other.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    history = resumed.fit(x, y, epochs=2, initial_epoch=1, batch_size=8, shuffle=False, verbose=0).history
    for a, b in zip(one.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert history["cost"][0] > 0


def test_a_negative_coefficient_raises_when_it_gets_there():
    blend = blend_of(families.Dirichlet(), coefficient=bl.schedules.linear(1.0, -1.0, steps=10))
    assert np.isfinite(blend([[0.0]], [[1.0]], step=5))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`coefficient` must not be negative"):
        blend([[0.0]], [[1.0]], step=6)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (families.Dirichlet([1.0, 2.0]), "concentration"),
        (families.LogisticNormal(mean=[1.0, 2.0]), "mean"),
        (families.LogisticNormal(scale=[1.0, 2.0]), "scale"),
    ],
)
def test_a_prior_of_other_losses_is_refused(family, name):
    with pytest.raises(ValueError, match=f"`{name}` must have one number for each of the 3 losses. Received: {name}="):
        blend_of(family)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"family": "dirichlet"}, TypeError, "`family` must be a Family"),
        ({"examples": 0}, ValueError, "`examples` must be positive"),
        ({"examples": "many"}, TypeError, "`examples` must be a real number"),
        ({"seed": 0.5}, TypeError, "`seed` must be an integer"),
        ({"seed": 2**64}, ValueError, "`seed` must fit in 64 bits"),
        ({"coefficient": -1.0}, ValueError, "`coefficient` must not be negative"),
        ({"coefficient": "soft"}, TypeError, "`coefficient` must"),
    ],
    ids=str,
)
def test_a_bad_argument_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Bayesian(**{"family": families.Dirichlet(), "examples": 10, "seed": 0, **arguments})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: families.Dirichlet(0.0), ValueError, "`concentration` must be positive"),
        (lambda: families.Dirichlet([1.0, -1.0]), ValueError, r"`concentration\[1\]` must be positive"),
        pytest.param(
            lambda: families.Dirichlet("one"), TypeError, "`concentration` must be a real number", id="string"
        ),
        pytest.param(lambda: families.Dirichlet(None), TypeError, "`concentration` must be a real number", id="None"),
        (lambda: families.LogisticNormal(scale=0), ValueError, "`scale` must be positive"),
        (lambda: families.LogisticNormal(mean=[0.0, np.nan]), ValueError, r"`mean\[1\]` must not be NaN"),
    ],
)
def test_a_bad_prior_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
