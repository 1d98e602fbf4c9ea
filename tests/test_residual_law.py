"""The fitted law against SciPy's, in the core and far out."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import blendloss as bl

PLACES = np.array([-1e6, -50, -3.0, -1, -0.3, 0, 1e-13, 1e-5, 0.2, 1, 2.5, 8, 1e6])
LEVELS = np.array([1e-6, 0.05, 0.25, 0.5, 0.9, 0.999])


def law(penalty, weight, scale=1.0):
    gate = bl.gates.ExponentialFamily([weight], scale=scale, dtype="float64")
    bl.Blend({"loss": penalty}, gate)
    return gate.law()


LAWS = {
    "normal": (law(bl.losses.SquaredError(math.sqrt(2)), 1.0, 2.0), stats.norm(0, 2)),
    "laplace": (law(bl.losses.AbsoluteError(), 1.0, 0.5), stats.laplace(0, 0.5)),
    "logistic": (law(bl.losses.LogCosh(2.0), 0.5), stats.logistic()),  # sech^2(r / 2)
    "cauchy": (law(bl.losses.Cauchy(), 2.0, 3.0), stats.cauchy(0, 3)),
    "student-3": (law(bl.losses.Cauchy(math.sqrt(3)), 4 / 3), stats.t(3)),
    "asymmetric": (law(bl.losses.Quantile(0.8), 1.0), stats.laplace_asymmetric(0.5, scale=2.5)),
}

every_law = pytest.mark.parametrize("name", LAWS)


@every_law
def test_density(name):
    ours, theirs = LAWS[name]
    places = PLACES[1:-1] if name in ("laplace", "logistic") else PLACES  # SciPy's own overflow
    np.testing.assert_allclose(ours.log_prob(places), theirs.logpdf(places), rtol=1e-9, atol=1e-9)


@every_law
def test_distribution_function_and_its_complement(name):
    ours, theirs = LAWS[name]
    with np.errstate(over="ignore"):  # of SciPy's asymmetric law
        below, above = theirs.cdf(PLACES), theirs.sf(PLACES)
    np.testing.assert_allclose(ours.cdf(PLACES), below, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(ours.survival_function(PLACES), above, rtol=1e-7, atol=1e-300)
    assert np.isnan(ours.cdf(np.nan))
    np.testing.assert_array_equal(ours.cdf([-np.inf, np.inf]), [0, ours.cdf(1e300)])


@every_law
def test_quantiles(name):
    ours, theirs = LAWS[name]
    np.testing.assert_allclose(ours.quantile(LEVELS), theirs.ppf(LEVELS), rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(ours.quantile([0.0, 1.0]), [-np.inf, np.inf])


@every_law
def test_mode_and_entropy(name):
    ours, theirs = LAWS[name]
    assert float(ours.mode()) == 0
    np.testing.assert_allclose(ours.entropy(), theirs.entropy(), rtol=1e-7)


@every_law
def test_moments_are_exact_or_nan_where_none_exist(name):
    ours, theirs = LAWS[name]
    mean, variance = theirs.stats("mv")
    if name == "cauchy":
        assert np.isnan(ours.mean())
        assert float(ours.variance()) == np.inf
    else:
        np.testing.assert_allclose(ours.mean(), mean, rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours.variance(), variance, rtol=1e-6)


@every_law
def test_samples(name):
    ours, theirs = LAWS[name]
    samples = ours.sample(2000, seed=[3, 4])
    assert samples.shape == (2000,)
    assert stats.kstest(samples, theirs.cdf).pvalue > 1e-3  # one in a thousand, at a fixed seed
    np.testing.assert_array_equal(samples, ours.sample(2000, seed=[3, 4]))
    assert ours.sample([2, 3], seed=1).shape == (2, 3)


def test_the_distribution_function_works_in_a_graph():
    ours, theirs = LAWS["student-3"]
    found = tf.function(ours.cdf)(tf.constant(PLACES))
    np.testing.assert_allclose(found, theirs.cdf(PLACES), rtol=1e-8, atol=1e-11)


def test_density_is_the_slope_of_the_distribution_function():
    ours, _ = LAWS["cauchy"]
    place = tf.constant([-2.0, 0.3, 7.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(place)
        below = ours.cdf(place)
    np.testing.assert_allclose(tape.gradient(below, place), ours.prob(place), rtol=1e-9)


def test_interval_of_an_asymmetric_law_is_that_of_the_targets():
    """y = y_pred - r: the residual's upper tail is the target's lower one."""
    gate = bl.gates.ExponentialFamily([1.0], dtype="float64")
    bl.Blend({"loss": bl.losses.Quantile(0.8)}, gate)
    low, high = gate.interval(tf.constant([10.0], tf.float64), 0.8)
    theirs = LAWS["asymmetric"][1]
    np.testing.assert_allclose([low[0], high[0]], [10 - theirs.ppf(0.9), 10 - theirs.ppf(0.1)], rtol=1e-9)
    with pytest.raises(ValueError, match="`level` must lie strictly between"):
        gate.interval([0.0], 1.0)


def test_mixture_law():
    gate = bl.gates.Mixture([1.0, 10.0], dtype="float64")
    squared = bl.losses.SquaredError(math.sqrt(2))
    bl.Blend({"narrow": squared, "broad": squared}, gate)
    density = 0.5 * stats.norm.pdf(PLACES) + 0.5 * stats.norm.pdf(PLACES, scale=10)
    np.testing.assert_allclose(gate.law().prob(PLACES), density, rtol=1e-9, atol=1e-300)
    below = 0.5 * stats.norm.cdf(PLACES) + 0.5 * stats.norm.cdf(PLACES, scale=10)
    np.testing.assert_allclose(gate.law().cdf(PLACES), below, rtol=1e-8, atol=1e-11)
