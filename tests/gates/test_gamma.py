"""Gamma variates by quantiles: their law, their gradients, both ends."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from blendloss._internal.random import uniform
from blendloss.gates.families._gamma import log_gamma_variate

DRAWS = 200_000


@pytest.mark.parametrize("a", [0.01, 0.3, 1.0, 4.5, 300.0, 1998.0, 2002.0, 1e5, 1e8])
def test_gamma_variates_are_gamma(a):
    numbers = uniform([2, 20_000, 1], 5, tf.constant(3), tf.float64)
    x = log_gamma_variate(tf.constant([a], tf.float64), numbers)[:, 0].numpy()
    assert np.isfinite(x).all()
    # log x, as x itself underflows for small a; Kolmogorov and Smirnov's 0.1% quantile, with a fixed seed.
    distance = stats.kstest(np.maximum(x, -700.0), stats.loggamma(a).cdf).statistic if a < 1e6 else None
    if distance is None:  # SciPy's own distribution function loses its digits there: (x - a) / sqrt(a) is normal
        distance = stats.kstest((np.exp(x) - a) / np.sqrt(a), stats.norm.cdf).statistic
    assert distance < 1.95 / np.sqrt(20_000)


@pytest.mark.parametrize("a", [1e-6, 1e-3])
def test_small_concentrations_do_not_underflow(a):
    x = log_gamma_variate(tf.constant([a], tf.float64), uniform([2, 20_000, 1], 5, tf.constant(3), tf.float64))
    scaled = a * x.numpy()[:, 0]  # -a log x is exponential in the limit
    assert stats.kstest(-scaled, stats.expon.cdf).statistic < 1.95 / np.sqrt(20_000)


QUANTILES = [2.0**-53, 1e-9, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-6, 1 - 2.0**-53]


@pytest.mark.parametrize("a", [1e-3, 0.5, 1.0, 2.0, 30.0, 700.0, 1990.0, 2010.0, 2e4, 2e5])
def test_quantiles_and_their_gradients_are_scipys(a):
    u = np.array(QUANTILES)
    concentration = tf.fill([len(u)], tf.constant(a, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch(concentration)
        x = log_gamma_variate(concentration, tf.stack([u, np.full(len(u), 0.5)]))
    gradient = tape.gradient(x, concentration)

    def reference(a):
        return np.log(special.gammaincinv(a + 1, u)) + np.log(0.5) / a

    def central(h):
        return (reference(a + h) - reference(a - h)) / (2 * h)

    h = 1e-3 * a
    expected = (4 * central(h / 2) - central(h)) / 3  # error h^4, and 1e-13 / h of rounding
    # The expansion's error at 8 standard deviations, just above where it takes over, is 2e-10; elsewhere below 1e-11.
    tolerance = 3e-10 if a > 2000 else 1e-11 * (1 + np.abs(reference(a)))
    np.testing.assert_array_less(np.abs(x - reference(a)), tolerance)
    np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=0)


def test_the_gradient_in_the_concentration_is_that_of_the_mean():
    """E x = a, so E dx/da = 1: what makes the reparameterization gradient unbiased."""
    for a in (0.2, 1.0, 5.0, 1e4):
        concentration = tf.constant([a], tf.float64)
        numbers = uniform([2, DRAWS, 1], 11, tf.constant(1), tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(concentration)
            x = tf.exp(log_gamma_variate(tf.broadcast_to(concentration, [DRAWS, 1]), numbers))
            mean = tf.reduce_mean(x)
        gradient = tape.gradient(mean, concentration)[0]
        assert abs(mean - a) < 4 * np.sqrt(a / DRAWS)
        # dx/da = x/a (1 + ...) has a spread of about 1 / sqrt(a), below 3 for a >= 0.2.
        assert abs(gradient - 1) < 4 * max(1, 1 / a) / np.sqrt(DRAWS)


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("persistent", [False, True], ids=["tape", "persistent"])
def test_second_derivatives_are_those_of_the_first(jit, persistent):
    """TensorFlow Probability's take the incomplete gamma function's slope in a as constant: up to 95 times off."""
    a = tf.constant([0.5, 2.0, 30.0], tf.float64)
    u = tf.constant([[0.2, 0.5, 0.9], [0.5, 0.5, 0.5]], tf.float64)

    @tf.function(jit_compile=jit)
    def slopes(a):
        with tf.GradientTape(persistent=persistent) as outer:
            outer.watch(a)
            with tf.GradientTape() as tape:
                tape.watch(a)
                x = log_gamma_variate(a, u)
            slope = tape.gradient(x, a)
        return slope, outer.gradient(slope, a)

    h = 1e-4 * a
    expected = (slopes(a + h)[0] - slopes(a - h)[0]) / (2 * h)
    np.testing.assert_allclose(slopes(a)[1], expected, rtol=1e-6)
