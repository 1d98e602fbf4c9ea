"""Annealed: limits of the temperature, checks at run time, the Concrete distribution."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import blendloss as bl
from blendloss import modes
from blendloss._internal.random import gumbel
from tests.modes.instances import every_relaxation
from tests.modes.test_relaxations import ROUNDING

LOGITS = np.array([[0.3, -1.0, 2.0, -np.inf], [5.0, 4.9, -np.inf, -np.inf], [1e4, -1e4, 0.0, 1e4]], np.float32)


@every_relaxation
@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 2e-38])
def test_cold_weights_are_the_one_hot_of_the_largest(relax, temperature):
    weights = modes.Annealed(temperature, relax)(LOGITS, step=0).numpy()
    expected = [[0, 0, 1, 0], [1, 0, 0, 0], [0.5, 0, 0, 0.5]]
    np.testing.assert_allclose(weights, expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(weights == 0, np.equal(expected, 0))


@every_relaxation
@pytest.mark.parametrize("temperature", [1e13, 1e30, 3e38])  # |z| / tau <= 2e-9, below rounding
def test_hot_weights_are_equal_over_what_is_not_excluded(relax, temperature):
    weights = modes.Annealed(temperature, relax)(LOGITS, step=0)
    expected = [[1 / 3, 1 / 3, 1 / 3, 0], [0.5, 0.5, 0, 0], [0.25] * 4]
    np.testing.assert_allclose(weights, expected, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(weights == 0, np.equal(expected, 0))


@every_relaxation
def test_temperature_divides_the_logits(relax):
    schedule = bl.schedules.exponential(4.0, 0.25, steps=4)
    logits = LOGITS[:2]
    for step, temperature in enumerate((4.0, 2.0, 1.0, 0.5, 0.25)):
        weights = modes.Annealed(schedule, relax)(logits, step=step)
        np.testing.assert_allclose(weights, relax(logits / np.float32(temperature)), rtol=0, atol=ROUNDING)


@keras.saving.register_keras_serializable(package="tests")
def zero_from_2(step):
    return tf.where(step < 2, 1.0, 0.0)


@keras.saving.register_keras_serializable(package="tests")
def negative_from_2(step):
    return tf.where(step < 2, 1.0, -1.0)


@keras.saving.register_keras_serializable(package="tests")
def nan_from_2(step):
    return tf.where(step < 2, 1.0, float("nan"))


BAD = [zero_from_2, negative_from_2, nan_from_2]
MAKE = {
    "annealed": modes.Annealed,
    "annealed-sparsemax": lambda t: modes.Annealed(t, modes.sparsemax),
    "annealed-entmax15": lambda t: modes.Annealed(t, modes.entmax15),
    "gumbel-straight-through": lambda t: modes.GumbelStraightThrough(0, t),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_temperature_that_is_not_positive_raises_when_it_comes(make, bad):
    mode = make(bad)
    for regime in (lambda f: f, tf.function):
        run = regime(lambda step, mode=mode: mode([0.0, 1.0, -np.inf], step=step))
        assert np.isfinite(run(tf.constant(1)).numpy()).all()
        with pytest.raises(tf.errors.InvalidArgumentError, match="`temperature` must be positive"):
            run(tf.constant(2))


def test_xla_which_cannot_raise_gives_nan():
    @tf.function(jit_compile=True)
    def every(step):
        made = [make(bad) for make in MAKE.values() for bad in BAD]
        return tf.stack([tf.reduce_sum(mode([0.0, 1.0, -np.inf], step=step)) for mode in made])

    np.testing.assert_allclose(every(tf.constant(1)), 1, rtol=ROUNDING)
    assert np.isnan(every(tf.constant(2))).all()


# The Concrete distribution

N = 20_000
CENTRES = np.float32([0.0, 1.0, -0.5])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_noisy_weights_are_concrete(temperature):
    """Moments and log-density against TFP's own samples: fixed seeds, 4 standard errors of the difference."""
    concrete = tfp.distributions.RelaxedOneHotCategorical(temperature, logits=CENTRES)
    ours = modes.Annealed(temperature, seed=1)(np.tile(CENTRES, (N, 1)), step=9)
    theirs = concrete.sample(N, seed=2)
    for statistic in (lambda g: g, tf.square, lambda g: g * tf.roll(g, 1, -1), concrete.log_prob):
        a, b = (statistic(tf.clip_by_value(g, 1e-30, 1.0)).numpy() for g in (ours, theirs))
        error = np.sqrt((a.var(0) + b.var(0)) / N)
        assert (np.abs(a.mean(0) - b.mean(0)) < 4 * error).all()


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_two_noisy_weights_have_logistic_log_odds(temperature):
    """Maddison et al. (2017), appendix B: tau * logit(g) - (z_1 - z_0) is standard logistic; Kolmogorov-Smirnov."""
    logits = tf.tile(tf.constant([[0.0, 1.5]], tf.float64), [N, 1])
    g = modes.Annealed(temperature, seed=4)(logits, step=2).numpy()
    log_odds = temperature * np.log(g[:, 1] / g[:, 0]) - 1.5
    assert scipy.stats.kstest(log_odds, "logistic").pvalue > 1e-3


def test_noise_is_standard_gumbel():
    logits = tf.zeros([N, 1], tf.float64)  # log-odds against a second logit of 1e6 are noise_0 - noise_1 - 1e6
    noise = gumbel(logits, 3, tf.constant(5, tf.int64)).numpy()[:, 0]
    assert scipy.stats.kstest(noise, "gumbel_r").pvalue > 1e-3
