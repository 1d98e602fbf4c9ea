"""The likelihood gate: a proper likelihood, convex, with one minimum, that finds the law."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._blend.minimizer import minimizer
from blendloss.gates import ExponentialFamily
from tests.test_gradients import finite_differences

LOSSES = {
    "squared": bl.losses.SquaredError(math.sqrt(2)),
    "huber": bl.losses.Huber(1.345),
    "absolute": bl.losses.AbsoluteError(),
    "cauchy": bl.losses.Cauchy(2.385),
}
RNG = np.random.default_rng(0)
RESIDUALS = RNG.standard_t(3, size=(200, 1))


def blend_of(losses=LOSSES, mode=None, reduction="mean", **named):
    return bl.Blend(losses, ExponentialFamily(**{"dtype": "float64", **named}), mode, reduction=reduction)


def value_of(blend, residuals=RESIDUALS, **named):
    return blend(np.zeros_like(residuals), residuals, step=0, **named)


# It is a likelihood


@pytest.mark.parametrize("scale", [1.0, 0.1, 30.0])
def test_one_squared_loss_is_the_normal_law(scale):
    value = value_of(blend_of({"squared": LOSSES["squared"]}, initial=[2.0], scale=scale))
    sd = scale / math.sqrt(2)
    expected = np.mean(0.5 * (RESIDUALS / sd) ** 2) + math.log(sd * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_density_integrates_to_one():
    gate = ExponentialFamily([0.3, 0.1, 0.2, 0.7], scale=2.0, dtype="float64")
    blend = bl.Blend(LOSSES, gate, reduction="none")
    places = np.sinh(np.linspace(-12, 12, 20_001))  # the integrand decays on both sides: trapezoid in asinh
    density = np.exp(-blend(np.zeros_like(places), places, step=0).numpy())
    total = np.sum((density[1:] + density[:-1]) / 2 * np.diff(places))
    np.testing.assert_allclose(total, 1, rtol=0, atol=2e-6)  # step^2 / 12 at the kinks


def test_gradient_in_g_is_the_residuals_mean_less_the_laws():
    blend = blend_of(initial=[0.5, 0.2, 0.3, 0.4])
    weights = tf.constant([0.5, 0.2, 0.3, 0.4], tf.float64)
    law = blend.gate.law()
    with tf.GradientTape() as tape:
        tape.watch(weights)
        log_z = blend.gate.partition.log_partition(weights)
    samples = law.sample(50_000, seed=[1, 2]).numpy()[:, np.newaxis]
    for k, (penalty, slope) in enumerate(zip(LOSSES.values(), tape.gradient(log_z, weights), strict=True)):
        values = penalty.value(samples).numpy()
        assert abs(-slope - values.mean()) < 5 * values.std() / math.sqrt(len(values)), k  # 5 standard errors


def test_convex_in_g():
    """The Hessian of L in g is the covariance of rho under p: symmetric, positive semi-definite."""
    partition = blend_of().gate.partition

    @tf.function
    def second_derivative(g):
        with tf.GradientTape() as outer:
            outer.watch(g)
            with tf.GradientTape() as inner:
                inner.watch(g)
                value = partition.log_partition(g)
            gradient = inner.gradient(value, g)
        return outer.jacobian(gradient, g)

    for weights in RNG.uniform(0, 3, size=(20, 4)):
        hessian = second_derivative(tf.constant(weights)).numpy()
        np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-9 * np.abs(hessian).max())
        assert np.linalg.eigvalsh(hessian).min() >= -1e-9 * np.abs(hessian).max()
        p = np.exp(partition.log_weights - weights @ partition.table)
        p /= p.sum()
        finite = p > 0  # where rho may be cut at 1e200
        table = partition.table[:, finite]
        centred = table - (table @ p[finite])[:, np.newaxis]
        np.testing.assert_allclose(hessian, (centred * p[finite]) @ centred.T, rtol=1e-6, atol=1e-12)


def test_twenty_random_starts_end_at_one_point():
    random, ends, values = np.random.default_rng(1), [], []
    blend = blend_of()
    minimize = minimizer(blend, blend.trainable_variables, tolerance=1e-8, max_iterations=500)
    for _ in range(20):
        blend.gate.parameters.assign(random.uniform(0.03, 3, size=4))
        values.append(float(minimize(tf.zeros_like(RESIDUALS), tf.constant(RESIDUALS), None, None)[0]))
        ends.append(blend.gate.weights_and_scale()[0].numpy())
    # L is flat to second order: what is left of the value, d, is d ~ slope^2 / curvature, and g is known to sqrt(d).
    np.testing.assert_allclose(values, min(values), rtol=0, atol=1e-9)
    np.testing.assert_allclose(ends, np.tile(np.mean(ends, axis=0), (20, 1)), rtol=0, atol=2e-3)


# It finds the law (the whole table: `blendloss recover`)

N = 20_000
LAWS = {
    "gaussian": (lambda r: r.normal(size=N), lambda x: 0.5 * x**2 + 0.5 * math.log(2 * math.pi), "squared"),
    "laplace": (lambda r: r.laplace(size=N), lambda x: abs(x) + math.log(2), "absolute"),
    "cauchy": (lambda r: r.standard_cauchy(size=N), lambda x: np.log1p(x**2) + math.log(math.pi), "cauchy"),
}


@pytest.mark.parametrize("name", LAWS)
def test_recovers_the_law(name):
    draw, nll, winner = LAWS[name]
    residuals = draw(np.random.default_rng(2))[:, np.newaxis]
    losses = {**LOSSES, "cauchy": bl.losses.Cauchy()}  # contains all three laws at c = 1
    blend = blend_of(losses)
    fit = bl.fit_gate(blend, np.zeros_like(residuals), residuals, tolerance=1e-7)
    excess = float(fit.value) - nll(residuals).mean()
    # On its own sample a fit of d parameters is below the truth by about d / 2n (Wilks); never above.
    assert -10 / N < excess <= 1e-7
    weights = blend.gate.weights_and_scale()[0].numpy()
    if name == "cauchy":  # (1 + r^2)^-1 = exp(-2 rho): the variance of rho is pi^2 / 12; 5 standard errors
        assert abs(weights[3] - 2) < 5 / math.sqrt(N * math.pi**2 / 12)
        assert weights[0] < 1e-6  # a squared penalty at all would cut the tail
    else:
        energies = weights * [loss.value(residuals).numpy().mean() for loss in losses.values()]
        assert list(losses)[energies.argmax()] == winner
    fresh = draw(np.random.default_rng(3))
    low, high = blend.gate.interval(np.zeros(N), 0.9)
    cover = np.mean((low <= fresh) & (fresh <= high))
    # The share of N that a true 90 % interval holds, and the fitted ends' own error of the same size: 4 deviations.
    assert abs(cover - 0.9) < 4 * math.sqrt(2 * 0.9 * 0.1 / N)


def test_trained_in_fit_with_a_network():
    """The network learns the line, and the gate a law as likely as the one that a fit to the same residuals finds."""
    random = np.random.default_rng(4)
    x = random.normal(size=(4000, 1)).astype("float32")
    y = (3 * x + random.laplace(scale=0.5, size=x.shape)).astype("float32")
    losses = {"squared": LOSSES["squared"], "absolute": LOSSES["absolute"]}
    blend = bl.Blend(losses, ExponentialFamily())
    model = bl.BlendedModel(keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]), blend)
    rate = keras.optimizers.schedules.CosineDecay(0.05, 300)
    # Adam's usual beta_2 remembers the large gradients of the start, and hardly moves g along its ridge.
    model.compile(keras.optimizers.Adam(rate), gate_optimizer=keras.optimizers.Adam(rate, beta_2=0.9), jit_compile=True)
    batches = tf.data.Dataset.from_tensors((x, y)).repeat()
    model.fit(batches, steps_per_epoch=299, shuffle=False, verbose=0)
    history = model.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0).history  # the last step alone
    # Standard error of a median slope under Laplace noise of scale 0.5 from 4000: 0.5 / sqrt(4000) = 0.008.
    np.testing.assert_allclose(model.network.get_weights()[0], [[3]], atol=5 * 0.008)
    fitted = bl.Blend(losses, ExponentialFamily(dtype="float64"))
    fit = bl.fit_gate(fitted, y.astype("float64"), model.predict(x, verbose=0).astype("float64"))
    # float32 sums against float64, and the last step; what is left of the value, d, leaves sqrt(d) of g.
    np.testing.assert_allclose(history["loss"][-1], fit.value, rtol=0, atol=1e-5)
    np.testing.assert_allclose(blend.gate.weights_and_scale()[0], fitted.gate.weights_and_scale()[0], rtol=0, atol=0.02)
    assert abs(float(fit.value) - (1 + math.log(2 * 0.5))) < 5 / math.sqrt(4000)  # the entropy, 5 deviations of log p
    blended = history["cost"][-1] + sum(history[f"gate/{name}"][-1] * history[f"loss/{name}"][-1] for name in losses)
    np.testing.assert_allclose(blended, history["loss"][-1], rtol=1e-5)


# Slow tails


def test_losses_with_log_tails_alone_stay_normalizable():
    """g = w (1 + 1 / sum w b): sum g b = 1 + sum w b > 1 for every w."""
    gate = ExponentialFamily(dtype="float64")
    bl.Blend({"cauchy": bl.losses.Cauchy(1.5), "welsch": bl.losses.Welsch()}, gate)
    for parameters in ([1.0, 1.0], [1e-3, 1.0], [1e-6, 1e-6], [30.0, 0.1]):
        gate.parameters.assign(parameters)
        weights = gate.weights_and_scale()[0].numpy()
        np.testing.assert_allclose(weights @ [2.25, 0], 1 + 2.25 * parameters[0] ** 2, rtol=1e-12)


def test_initial_weights_are_kept():
    gate = ExponentialFamily([0.9, 2.0], dtype="float64")
    bl.Blend({"cauchy": bl.losses.Cauchy(1.5), "welsch": bl.losses.Welsch()}, gate)
    np.testing.assert_allclose(gate.weights_and_scale()[0], [0.9, 2.0], rtol=1e-12)


def test_bounded_losses_alone_are_refused():
    with pytest.raises(ValueError, match="Some loss must grow without bound.*rho is bounded.*Received"):
        blend_of({"welsch": bl.losses.Welsch(), "tukey": bl.losses.Tukey()})


def test_initial_weights_that_are_no_density_are_refused():
    with pytest.raises(ValueError, match=r"`initial` must make a density.*grows as 0.9 log"):
        blend_of({"cauchy": bl.losses.Cauchy()}, initial=[0.9])


def test_losses_of_no_residual_are_refused():
    with pytest.raises(TypeError, match=r"every loss must be a penalty.*Received: mae='mae'"):
        blend_of({"squared": LOSSES["squared"], "mae": "mae"})


def test_combine_is_refused():
    with pytest.raises(ValueError, match="needs residuals, which `combine` has not"):
        blend_of().combine(dict.fromkeys(LOSSES, 1.0), step=0)


def test_a_mode_that_chooses_a_bounded_loss_alone_is_caught():
    losses = {"welsch": bl.losses.Welsch(), "squared": LOSSES["squared"]}
    blend = blend_of(losses, bl.modes.Hard(), initial=[2.0, 1.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="The weights must make a density"):
        value_of(blend)
    assert np.isnan(tf.function(lambda: value_of(blend), jit_compile=True)())


# Derivatives

MODES = {
    "soft": bl.modes.Soft(),
    "sparsemax": bl.modes.Soft(bl.modes.sparsemax),
    "annealed": bl.modes.Annealed(0.6),
    "concrete": bl.modes.Annealed(0.8, seed=3),
}


@pytest.mark.parametrize("mode", MODES)
def test_gradients_against_finite_differences(mode):
    blend = blend_of(mode=MODES[mode], initial=[1.0, 1.2, 0.9, 1.1], scale=1.3, learn_scale=True)
    parameters, log_scale = (variable.value for variable in blend.trainable_variables)
    prediction = tf.Variable(RESIDUALS[:7])
    at = [np.array(variable) for variable in (parameters, log_scale, prediction)]

    def value(place, given):
        for variable, original in zip((parameters, log_scale, prediction), at, strict=True):
            variable.assign(original)
        (parameters, log_scale, prediction)[place].assign(given)
        return float(value_of(blend, prediction.numpy()))

    expected = [finite_differences(lambda given, i=i: value(i, given), at[i]) for i in range(3)]
    value(0, at[0])
    with tf.GradientTape() as tape:
        total = blend(tf.zeros_like(prediction), prediction, step=0)
    # Central differences: rounding of about 1e-15 over the step of 1e-6.
    for found, wanted in zip(tape.gradient(total, [parameters, log_scale, prediction]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_straight_through_gradient_is_that_of_the_gating_vector():
    """dL/dg_k = mean rho_k - E_p rho_k at the chosen one-hot g, sent through the softmax's Jacobian."""
    blend = blend_of(mode=bl.modes.Hard(), initial=[1.0, 1.2, 0.9, 1.1])
    parameters = blend.gate.parameters.value
    with tf.GradientTape() as tape:
        output = blend.compute(np.zeros_like(RESIDUALS), RESIDUALS, step=0)
    found = tape.gradient(output.value, parameters).numpy()
    weights = tf.constant(np.eye(4)[1] * 4.2)
    np.testing.assert_allclose(output.weights, weights, rtol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        log_z = blend.gate.partition.log_partition(weights)
    in_g = (output.losses + tape.gradient(log_z, weights)).numpy()
    w = np.array([1.0, 1.2, 0.9, 1.1])
    p = w / w.sum()
    in_log_w = 4.2 * p * (in_g - p @ in_g) + w * in_g[1]  # through the shares, and through the total
    np.testing.assert_allclose(found, in_log_w * 2 / np.sqrt(w), rtol=1e-9)


def test_a_weight_at_0_has_a_finite_gradient():
    blend = blend_of()
    blend.gate.parameters.assign([0.0, 1.0, 1.0, 1.0])
    with tf.GradientTape() as tape:
        value = value_of(blend)
    assert np.isfinite(tape.gradient(value, blend.gate.parameters.value)).all()


# Shapes, weights, regimes


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "mean_with_sample_weight"])
def test_sample_weights_weigh_the_likelihood(reduction):
    blend = blend_of(reduction=reduction)
    weights = RNG.uniform(size=200)
    single = blend_of(reduction="none")
    by_example = value_of(single).numpy()
    expected = {
        "mean": (by_example * weights).mean(),
        "sum": (by_example * weights).sum(),
        "none": by_example * weights,
        "mean_with_sample_weight": (by_example * weights).sum() / weights.sum(),
    }[reduction]
    np.testing.assert_allclose(value_of(blend, sample_weight=weights), expected, rtol=1e-12)


def test_several_outputs_are_the_mean_over_elements():
    np.testing.assert_allclose(value_of(blend_of(), RESIDUALS.reshape(50, 4)), value_of(blend_of()), rtol=1e-12)


def test_empty_batch_is_0():
    assert float(value_of(blend_of(), np.zeros([0, 1]))) == 0


@pytest.mark.parametrize("residual", [math.inf, 1e30, 0.0], ids=str)
def test_extreme_residuals(residual):
    value = float(value_of(blend_of(), np.array([[residual]])))
    assert value == math.inf if residual == math.inf else math.isfinite(value)


def test_every_regime_gives_the_same():
    blend = bl.Blend(LOSSES, ExponentialFamily([0.5, 0.2, 0.3, 0.4], learn_scale=True))
    residuals = tf.constant(RESIDUALS, tf.float32)

    def step(residual):
        with tf.GradientTape() as tape:
            tape.watch(residual)
            value = blend(tf.zeros_like(residual), residual, step=0)
        return [value, *tape.gradient(value, [residual, *(v.value for v in blend.trainable_variables)])]

    signature = [tf.TensorSpec([None, 1])]
    expected = step(residuals)
    for function in (
        tf.function(step),
        tf.function(step, input_signature=signature),
        tf.function(step, input_signature=signature, jit_compile=True),
    ):
        for found, wanted in zip(function(residuals), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=3e-6, atol=1e-6)


def test_half_precision_predictions_are_computed_in_float32():
    blend = bl.Blend(LOSSES, ExponentialFamily())
    found = blend(np.zeros([200, 1], np.float16), RESIDUALS.astype(np.float16), step=0)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, value_of(blend_of()), rtol=2e-3)  # half precision's inputs


def test_the_interval_of_integer_predictions_is_not_rounded():
    gate = bl.gates.ExponentialFamily()
    bl.Blend({"squared": bl.losses.SquaredError()}, gate)
    for of_integers, of_floats in zip(gate.interval([1, 2]), gate.interval([1.0, 2.0]), strict=True):
        np.testing.assert_array_equal(of_integers, of_floats)
