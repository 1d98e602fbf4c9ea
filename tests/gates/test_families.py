"""The families of posteriors: samples, their gradients, divergences."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from blendloss._internal.random import uniform
from tests.gates import golden
from tests.gates.posteriors import FAMILIES, every_family, parameters

DRAWS = 200_000


def draw(family, at, number=DRAWS, seed=0):
    numbers = uniform([family.uniforms, number, 3], seed, tf.constant(0), tf.float64)
    return family.sample(at, numbers)


def prior_of(family, k=3):
    return {name: tf.constant(values, tf.float64) for name, values in family.prior(k).items()}


# Samples


def test_soft_weights_are_exactly_dirichlet():
    family, _ = FAMILIES["dirichlet"]
    at = parameters("dirichlet")
    shares = tf.nn.softmax(draw(family, at)).numpy()
    a = np.exp(FAMILIES["dirichlet"][1]["log_concentration"])
    for k in range(3):  # the marginals are Beta(a_k, A - a_k)
        assert stats.kstest(shares[:20_000, k], stats.beta(a[k], a.sum() - a[k]).cdf).statistic < 1.95 / np.sqrt(20_000)
    expected = tfp.distributions.Dirichlet(a)
    error = 4 / np.sqrt(DRAWS)  # shares lie in [0, 1]: standard deviations, of products too, are at most 1/2
    np.testing.assert_allclose(shares.mean(axis=0), expected.mean(), rtol=0, atol=error / 2)
    np.testing.assert_allclose(np.cov(shares.T), expected.covariance(), rtol=0, atol=error / 2)


def test_logistic_normal_logits_are_normal():
    family, _ = FAMILIES["logistic-normal"]
    logits = draw(family, parameters("logistic-normal")).numpy()
    mean, scale = FAMILIES["logistic-normal"][1]["mean"], np.exp(FAMILIES["logistic-normal"][1]["log_scale"])
    for k in range(3):
        distance = stats.kstest((logits[:20_000, k] - mean[k]) / scale[k], stats.norm.cdf).statistic
        assert distance < 1.95 / np.sqrt(20_000)
    correlation = np.corrcoef(logits.T)
    np.testing.assert_allclose(correlation, np.eye(3), rtol=0, atol=4 / np.sqrt(DRAWS))


@every_family
def test_reparameterization_gradients_are_finite_differences(family):
    """At fixed numbers a sample is a smooth function of the parameters."""
    made, values = FAMILIES[family]
    numbers = uniform([made.uniforms, 50, 3], 2, tf.constant(0), tf.float64)
    direction = tf.constant(np.random.default_rng(0).normal(size=(50, 3)))

    def value(at):
        return tf.reduce_sum(direction * tf.nn.softmax(made.sample(at, numbers)))

    at = parameters(family)
    with tf.GradientTape() as tape:
        tape.watch(at)
        result = value(at)
    gradient = tape.gradient(result, at)
    h = 1e-5
    for name in values:
        for k in range(3):
            shift = {**{other: np.zeros(3) for other in values}, name: h * np.eye(3)[k]}
            sides = [float(value({n: at[n] + sign * shift[n] for n in at})) for sign in (1, -1)]
            # h^2, and a dozen digits of the quantile over h.
            np.testing.assert_allclose(gradient[name][k], (sides[0] - sides[1]) / (2 * h), rtol=0, atol=1e-7)


def test_the_expected_gradient_is_the_gradient_of_the_expectation():
    """Under `Soft()` a Dirichlet's expected blend is sum_k a_k l_k / A: a closed form for what noise averages to."""
    family, values = FAMILIES["dirichlet"]
    loss, at = np.array([1.0, -2.0, 0.5]), parameters("dirichlet")
    n = 40_000
    with tf.GradientTape() as tape:
        tape.watch(at)
        repeated = tf.broadcast_to(at["log_concentration"], [n, 3])
        with tf.GradientTape() as inner:
            inner.watch(repeated)
            numbers = uniform([2, n, 3], 9, tf.constant(2), tf.float64)
            sampled = tf.reduce_sum(loss * tf.nn.softmax(family.sample({"log_concentration": repeated}, numbers)), -1)
        gradients = inner.gradient(sampled, repeated).numpy()
    a = np.exp(values["log_concentration"])
    share = a / a.sum()
    expected = share * (loss - share @ loss)
    error = gradients.std(axis=0) / np.sqrt(n)
    assert (abs(gradients.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.02).all()


# Divergences


@pytest.mark.parametrize("row", golden.FAMILIES, ids=lambda row: row.id)
def test_golden(row):
    family = row.make()
    at = {name: tf.constant(values, tf.float64) for name, values in row.parameters.items()}
    np.testing.assert_allclose(family.divergence(at, prior_of(family, 2)), row.value, rtol=1e-14)


@every_family
def test_divergence_is_that_of_tensorflow_probability(family):
    made, at = FAMILIES[family][0], parameters(family)
    ours = made.divergence(at, prior_of(made))
    theirs = tfp.distributions.kl_divergence(made.distribution(at), made.distribution(prior_of(made)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert float(ours) > 0.1


@every_family
def test_divergence_is_the_mean_of_the_log_ratio(family):
    made, at = FAMILIES[family][0], parameters(family)
    logits = draw(made, at, seed=3)
    sample = tf.nn.softmax(logits) if family == "dirichlet" else logits
    ratio = made.distribution(at).log_prob(sample) - made.distribution(prior_of(made)).log_prob(sample)
    error = np.std(ratio) / np.sqrt(DRAWS)
    assert abs(np.mean(ratio) - float(made.divergence(at, prior_of(made)))) < 4 * error
    assert error < 0.02


@every_family
def test_divergence_of_the_prior_is_zero_and_its_gradient_too(family):
    made = FAMILIES[family][0]
    at = prior_of(made)
    with tf.GradientTape() as tape:
        tape.watch(at)
        divergence = made.divergence(at, prior_of(made))
    assert abs(float(divergence)) < 1e-14
    for gradient in tape.gradient(divergence, at).values():
        np.testing.assert_allclose(gradient, np.zeros(3), atol=1e-14)


@every_family
def test_divergence_gradients_are_finite_differences(family):
    made, at, h = FAMILIES[family][0], parameters(family), 1e-5
    with tf.GradientTape() as tape:
        tape.watch(at)
        divergence = made.divergence(at, prior_of(made))
    for name, gradient in tape.gradient(divergence, at).items():
        for k in range(3):
            sides = [
                float(made.divergence({**at, name: at[name] + sign * h * np.eye(3)[k]}, prior_of(made)))
                for sign in (1, -1)
            ]
            np.testing.assert_allclose(gradient[k], (sides[0] - sides[1]) / (2 * h), rtol=0, atol=1e-8)
