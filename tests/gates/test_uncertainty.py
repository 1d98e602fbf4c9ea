"""Uncertainty weighting: its forms against their closed minima, and Kendall's two-task toy."""

import math

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Uncertainty

# By hand: the weight and the cost at s, and the sigma^2 that minimizes g l + cost at a fixed loss l.
FORMS = {
    "regression": (lambda s: math.exp(-s) / 2, lambda s: s / 2, lambda loss: loss),
    "classification": (lambda s: math.exp(-s), lambda s: s / 2, lambda loss: 2 * loss),
    "geometric": (lambda s: math.exp(-s), lambda s: s, lambda loss: loss),
    "auxiliary": (
        lambda s: math.exp(-s) / 2,
        lambda s: math.log(1 + math.exp(s)),
        lambda loss: (loss + math.sqrt(loss**2 + 8 * loss)) / 4,
    ),
}
MIXED = ["regression", "classification", "auxiliary"]
# A logarithm, an exponential and a softmax of three in float64, relative to the largest of the weights.
ROUNDING = 16 * 2.0**-52


def blend_of(form, k=3, initial=0.0, mode=None, **named):
    gate = Uncertainty(form, initial, dtype=named.pop("dtype", "float64"))
    return bl.Blend([f"loss{index}" for index in range(k)], gate, mode, **named)


def given(blend, losses):
    return dict(zip(blend.names, tf.unstack(tf.constant(losses, tf.float64)), strict=True))


# Forms


@pytest.mark.parametrize("form", [*FORMS, MIXED], ids=str)
def test_weights_and_cost_are_the_form(form):
    s = [-3.0, 0.25, 2.0]
    forms = form if isinstance(form, list) else [form] * 3
    weights = [FORMS[name][0](x) for name, x in zip(forms, s, strict=True)]
    cost = sum(FORMS[name][1](x) for name, x in zip(forms, s, strict=True))
    blend = blend_of(form, initial=s)
    output = blend.compute_from_values(given(blend, [0.5, 2.0, 7.0]), step=0)
    np.testing.assert_allclose(output.weights, weights, rtol=0, atol=ROUNDING * sum(weights))
    np.testing.assert_allclose(output.cost, cost, rtol=1e-15)
    np.testing.assert_allclose(output.value, np.dot(weights, [0.5, 2.0, 7.0]) + cost, rtol=1e-14)


@pytest.mark.parametrize("form", [*FORMS, MIXED], ids=str)
def test_the_minimum_at_fixed_losses_is_closed(form):
    """sigma^2 = l in the paper's form: Newton's iteration on the blend's own gradient ends there."""
    losses = [1e-3, 1.0, 250.0]
    forms = form if isinstance(form, list) else [form] * 3
    blend = blend_of(form)
    values, s = given(blend, losses), blend.gate.log_variances.value
    for _ in range(16):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                value = blend.combine(values, step=0)
            slope = inner.gradient(value, s)
        # The losses are apart, so the Hessian is diagonal. A step of at most 1 keeps Newton on the convex side.
        s.assign_sub(tf.clip_by_value(slope / outer.gradient(slope, s), -1, 1))
    minimum = [FORMS[name][2](loss) for name, loss in zip(forms, losses, strict=True)]
    # The gradient is known to 1e-16 of its terms, all of them of size 1 at the minimum.
    np.testing.assert_allclose(blend.gate.sigmas() ** 2, minimum, rtol=1e-13)


def test_an_unweighted_gaussian_loss_is_its_likelihood():
    """With the squared error, "regression" is -log N(y | f, sigma^2), less log(2 pi) / 2."""
    blend = bl.Blend({"mse": bl.losses.SquaredError()}, Uncertainty(initial=math.log(4.0)), reduction="none")
    y, f = np.array([[0.5], [-2.0], [7.0]]), np.zeros((3, 1))
    expected = (y[:, 0] / 2) ** 2 / 2 + math.log(2)
    np.testing.assert_allclose(blend(y, f, step=0), expected, rtol=1e-6)


def test_the_cost_is_weighted_with_the_examples():
    """A likelihood: an example of weight 0 adds neither loss nor normalizer."""
    blend = bl.Blend({"mse": bl.losses.SquaredError()}, Uncertainty(initial=1.0), reduction="sum")
    y, f = np.array([[1.0], [3.0]], "float32"), np.zeros((2, 1), "float32")
    one = blend(y[:1], f[:1], step=0)
    np.testing.assert_allclose(blend(y, f, np.array([1.0, 0.0]), step=0), one, rtol=1e-6)
    np.testing.assert_allclose(blend(y, f, np.array([2.0, 0.0]), step=0), 2 * one, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "mode", [bl.modes.Soft(), bl.modes.Soft(bl.modes.entmax15), bl.modes.Annealed(0.6)], ids=["soft", "entmax15", "0.6"]
)
def test_gradients_in_s(form, mode):
    blend = blend_of(form, initial=[0.3, -0.4, 0.1], mode=mode)
    values, s = given(blend, [0.5, 2.0, 1.3]), blend.gate.log_variances.value
    start, h = s.numpy(), 1e-6
    with tf.GradientTape() as tape:
        value = blend.combine(values, step=0)
    found = tape.gradient(value, s)
    for k in range(3):
        ends = []
        for sign in (1, -1):
            s.assign(start + sign * h * np.eye(3)[k])
            ends.append(float(blend.combine(values, step=0)))
        # Central differences in float64: eps L / h + h^2 L''' is about 1e-9.
        assert float(found[k]) == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)


def test_weights_far_apart_keep_their_digits():
    """sigma from 2e-9 to 5e8 in float32: weights of a ratio up to the dtype's range."""
    blend = blend_of("regression", k=2, initial=[-40.0, 40.0], dtype="float32")
    values, s = {"loss0": tf.constant(1e-17), "loss1": tf.constant(1e17)}, blend.gate.log_variances.value
    with tf.GradientTape() as tape:
        output = blend.compute_from_values(values, step=0)
    # A rounding of the exponents, which reach 80, and of what comes after.
    np.testing.assert_allclose(output.weights, np.exp([40.0, -40.0]) / 2, rtol=(80 / 2 + 8) * 2.0**-23)
    expected = 0.5 - np.exp([40.0, -40.0]) / 2 * [1e-17, 1e17]
    np.testing.assert_allclose(tape.gradient(output.value, s), expected, rtol=4 * (80 / 2 + 8) * 2.0**-23)


def test_hard_chooses_the_least_noise_with_the_total_weight():
    blend = blend_of("regression", initial=[0.0, -1.0, 1.0], mode=bl.modes.Hard())
    weights = blend.compute_from_values(given(blend, [1.0, 1.0, 1.0]), step=0).weights
    np.testing.assert_allclose(weights, [0, (1 + math.e + 1 / math.e) / 2, 0], rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"form": 3}, TypeError, "`form` must be one of"),
        ({"form": "bayes"}, ValueError, "`form` must be one of .*Received: form='bayes'"),
        ({"form": ["regression", "bayes"]}, ValueError, r"`form\[1\]` must be one of"),
        ({"form": ["regression"]}, ValueError, "`form` must have one entry for each of the 2 losses"),
        ({"initial": [0.0]}, ValueError, "`initial` must have one number for each of the 2 losses"),
        ({"initial": math.inf}, ValueError, "`initial` must be finite"),
        ({"initial": [0.0, math.nan]}, ValueError, r"`initial\[1\]` must not be NaN"),
        ({"initial": "zero"}, TypeError, "`initial` must be a real number"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        bl.Blend(["a", "b"], Uncertainty(**arguments))


# Kendall, Gal & Cipolla's toy: y1 = 2 x + 8 + 10 e, y2 = 3 x + 3 + e


def toy():
    random = np.random.RandomState(0)  # the generator of the published code
    x = random.randn(100, 1)
    y1 = 2 * x + 8 + 10 * random.randn(100, 1)
    return x, np.concatenate([y1, 3 * x + 3 + random.randn(100, 1)], axis=1)


@pytest.mark.parametrize("form", ["regression", "geometric"])
def test_a_linear_model_finds_the_maximum_likelihood_noise(form):
    """The sigmas of least squares on the toy's 100 points, 10.2819 and 0.9492; the same for both forms."""
    x, y = toy()
    design = np.concatenate([x, np.ones_like(x)], axis=1)
    theta, *_ = np.linalg.lstsq(design, y, rcond=None)
    exact = np.sqrt(((y - design @ theta) ** 2).mean(axis=0))
    np.testing.assert_allclose(exact, [10.2819, 0.9492], atol=5e-5)  # the published data, to the digits known of it

    blend = blend_of(form, k=2)
    coefficients = tf.Variable(np.zeros((2, 2)))
    variables = [coefficients, blend.gate.log_variances.value]
    errors = tf.constant(y)

    @tf.function
    def descend():
        for _ in tf.range(300):
            with tf.GradientTape() as tape:
                squares = tf.reduce_mean(tf.square(tf.matmul(tf.constant(design), coefficients) - errors), axis=0)
                value = blend.combine(dict(zip(blend.names, tf.unstack(squares), strict=True)), step=0)
            in_theta, in_s = tape.gradient(value, variables)
            # Divided by the weights, least squares of its own for each task: a rate of 1/2 converges.
            weights = tf.exp(-variables[1]) * (1.0 if form == "geometric" else 0.5)
            coefficients.assign_sub(0.4 * in_theta / weights)
            variables[1].assign_sub(tf.clip_by_value(in_s, -0.5, 0.5))

    descend()
    np.testing.assert_allclose(blend.gate.sigmas(), exact, rtol=1e-9)
    np.testing.assert_allclose(coefficients, theta, rtol=1e-9)
