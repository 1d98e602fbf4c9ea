"""Weights of least variance: the solver against SciPy, its exact properties, and variances under known laws."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import tensorflow as tf

import blendloss as bl
from blendloss._solvers.least_variance import least_variance
from blendloss.gates._base.score_moments import normal_moments
from tests.gates.laws import quantiles

L = bl.losses


def program(second, curvature):
    """`least_variance` of one problem, as arrays."""
    found = least_variance(tf.constant(second[np.newaxis]), tf.constant(curvature[np.newaxis]))
    return tuple(np.asarray(part)[0] for part in found)


# The solver


@pytest.mark.parametrize("seed", range(20))
def test_the_program_is_scipys(seed):
    random = np.random.default_rng(seed)
    k = int(random.integers(1, 8))
    slopes = random.normal(size=(30, k)) + random.normal(size=(30, 1))
    second, curvature = slopes.T @ slopes / 30, random.uniform(0.1, 2.0, k)
    weights, variance, variances = program(second, curvature)
    root = np.linalg.cholesky(second).T
    expected, _ = scipy.optimize.nnls(root, np.linalg.solve(root.T, curvature))
    np.testing.assert_allclose(weights, expected / (curvature @ expected), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(variance, 1 / (curvature @ expected), rtol=1e-9)
    np.testing.assert_allclose(variances, np.diag(second) / curvature**2, rtol=1e-12)
    public = bl.gates.least_variance_weights(np.stack([second, 4 * second]), np.stack([curvature, 2 * curvature]))
    np.testing.assert_array_equal(public[0], weights)
    np.testing.assert_array_equal(public[1], weights / 2)  # a loss in twice the unit has half the weight


def test_weights_of_moments_keep_shapes_and_dtype():
    second, curvature = tf.eye(2, batch_shape=[3, 0]), tf.ones([3, 0, 2])
    assert bl.gates.least_variance_weights(second, curvature).shape == (3, 0, 2)
    half = bl.gates.least_variance_weights(tf.eye(1, dtype=tf.float16), tf.constant([2.0], tf.float16))
    assert half.dtype == tf.float16
    assert half.numpy().tolist() == [0.5]
    assert bl.gates.least_variance_weights(tf.eye(2), tf.constant([-1.0, 0.0])).numpy().tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("second", "curvature", "error", "message"),
    [
        pytest.param(np.eye(3), np.ones(2), ValueError, "one more axis of K = 2", id="K differs"),
        pytest.param(np.eye(2)[None], np.ones(2), ValueError, "one more axis", id="axes differ"),
        pytest.param(np.eye(2), np.ones([0]), ValueError, "must have shape", id="no losses"),
        pytest.param(np.eye(2, dtype=int), np.ones(2), TypeError, "must be floating", id="integers"),
        pytest.param(np.eye(2) * np.nan, np.ones(2), tf.errors.InvalidArgumentError, "must be finite", id="NaN"),
        pytest.param(np.eye(2), np.array([1.0, np.inf]), tf.errors.InvalidArgumentError, "be finite", id="infinity"),
    ],
)
def test_invalid_moments_are_refused(second, curvature, error, message):
    with pytest.raises(error, match=message):
        bl.gates.least_variance_weights(second, curvature)


@pytest.mark.parametrize("seed", range(20))
def test_no_loss_and_no_mixture_does_better_on_any_sample(seed):
    random = np.random.default_rng(seed)
    slopes = np.abs(random.standard_cauchy((5, 6))) * random.normal(size=(5, 6))  # fewer rows than losses: singular
    second, curvature = slopes.T @ slopes, random.uniform(-0.5, 2.0, 6)
    _, variance, variances = program(second, curvature)
    assert variance <= variances.min() * (1 + 1e-9)
    for mixed in random.dirichlet(np.full(6, 0.3), 2000) * (curvature > 0):
        assert variance <= (mixed @ second @ mixed) / (mixed @ curvature) ** 2 * (1 + 1e-9)


def test_the_units_and_the_order_of_the_losses_do_not_matter():
    random = np.random.default_rng(0)
    slopes = random.normal(size=(50, 5)) + random.normal(size=(50, 1))
    second, curvature = slopes.T @ slopes, random.uniform(0.1, 1.0, 5)
    weights, variance, _ = program(second, curvature)
    units, order = np.array([1e-8, 1.0, 3.0, 1e4, 1e8]), random.permutation(5)
    scaled, same, _ = program(second * np.outer(units, units), curvature * units)
    np.testing.assert_allclose(scaled * units, weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(same, variance, rtol=1e-12)
    moved, same, _ = program(second[np.ix_(order, order)], curvature[order])
    np.testing.assert_allclose(moved, weights[order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(same, variance, rtol=1e-12)


def test_a_loss_that_estimates_nothing_is_left_out():
    weights, variance, variances = program(np.diag([1.0, 0.0, 4.0, 1.0]), np.array([1.0, 0.0, -1.0, 0.0]))
    np.testing.assert_array_equal(weights, [1, 0, 0, 0])
    assert variance == 1
    np.testing.assert_array_equal(variances, [1, np.inf, np.inf, np.inf])


def test_weights_are_zero_if_no_loss_has_curvature():
    weights, variance, _ = program(np.eye(2), np.array([-1.0, 0.0]))
    assert (weights == 0).all()
    assert np.isinf(variance)


def test_moments_of_normal_noise():
    second, curvature = normal_moments([L.SquaredError(), L.AbsoluteError(), L.Quantile(0.9)])
    root = math.sqrt(2 / math.pi)
    # psi of the quantile loss is 0.1 above 0 and -0.9 below, or the other way round: its mean square is 0.41.
    np.testing.assert_allclose(np.diag(second), [4, 1, 0.41], rtol=1e-6)
    np.testing.assert_allclose(second[0, 1], 2 * root, rtol=1e-6)
    np.testing.assert_allclose(curvature, [2, root, root / 2], rtol=1e-6)


# Known laws


def population(law):
    """V_k over the least V of all but the absolute error, by quadrature; slopes in units of 1.4826 MAD."""
    penalties = {
        **{"squared": L.SquaredError(), "huber": L.Huber.tuned(0.95), "huber_0.4": L.Huber(0.4)},
        **{"cauchy": L.Cauchy.tuned(0.95), "cauchy_1": L.Cauchy(1.0), "tukey": L.Tukey.tuned(0.95)},
        "absolute": L.AbsoluteError(),
    }
    x = quantiles(law, 400_001)
    u = x / (1.4826022185056018 * np.median(np.abs(x)))
    slopes = np.stack([penalty.slope(tf.constant(u)).numpy() for penalty in penalties.values()], axis=-1)
    differences = [(p.slope(u + 0.01) - p.slope(u - 0.01)).numpy().mean() / 0.02 for p in penalties.values()]
    second, curvature = slopes.T @ slopes / len(u), np.stack(differences)
    _, _, variances = program(second, curvature)
    _, variance, _ = program(second[:-1, :-1], curvature[:-1])
    return dict(zip(penalties, variances / variance, strict=True))


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (
            scipy.stats.norm(),
            {"squared": 1.00, "huber": 1.053, "absolute": math.pi / 2, "cauchy": 1.053, "tukey": 1.053},
        ),
        (scipy.stats.t(3), {"squared": 1.94, "huber": 1.05, "absolute": 1.25, "cauchy": 1.03, "tukey": 1.04}),
        (scipy.stats.cauchy(), {"huber": 1.67, "absolute": 1.20, "cauchy": 1.39, "tukey": 1.33, "cauchy_1": 1.002}),
        (scipy.stats.laplace(), {"squared": 1.79, "huber": 1.28, "cauchy": 1.23, "tukey": 1.29}),
    ],
    ids=["normal", "t3", "cauchy", "laplace"],
)
def test_population_table(law, expected):
    """To what 400,000 draws of heavy tails tell, 2 %."""
    found = population(law)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0.02, err_msg=name)
