"""`Random`: the laws of the weights that it draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from tests.gates.values import blend_of


def drawn(gate, k, steps=4000):
    """The weights of K losses at each step, `[steps, K]`."""
    gate.attach(tuple("abcdefgh"[:k]))

    def weights(step):
        gating = gate.gating(gates.Context(step, True))
        logits = tf.cast(gating.logits, tf.float64)
        return tf.nn.softmax(logits) * tf.cast(gating.total, tf.float64)

    return tf.function(lambda: tf.map_fn(weights, tf.range(steps, dtype=tf.int64), tf.float64))().numpy()


@pytest.mark.parametrize(
    ("distribution", "k", "variance"),
    [
        ("normal", 2, 0.0684190769842),  # of the logistic function of a normal of variance 2
        ("normal", 3, 0.04941080),  # Gauss-Hermite
        ("dirichlet", 2, 1 / 12),
        ("dirichlet", 3, 1 / 18),
        ("uniform", 2, None),
    ],
)
def test_random_weights_have_the_moments_of_their_law(distribution, k, variance):
    if variance is None:  # (1 / 2) tanh of half a triangular difference: the midpoint rule, to 1e-7
        difference = (np.arange(2000) + 0.5) / 1000 - 1
        variance = np.mean((np.tanh(difference / 2) / 2) ** 2 * (1 - np.abs(difference))) * 2
    weights = drawn(gates.Random(distribution, seed=7), k)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    error = math.sqrt(variance / len(weights))
    assert np.abs(weights.mean(0) - 1 / k).max() < 4 * error
    # The fourth moment of what lies in [-1, 1] is at most its variance.
    assert np.abs(weights.var(0) - variance).max() < 4 * error
    assert np.abs(np.corrcoef(weights[1:, 0], weights[:-1, 0])[0, 1]) < 4 / math.sqrt(len(weights))


def test_every_set_of_losses_but_none_is_drawn_alike():
    weights = drawn(gates.Random("bernoulli", seed=1), 3)
    np.testing.assert_allclose(weights, np.round(weights), rtol=0, atol=1e-6)
    counts = np.bincount(np.round(weights).astype(int) @ [1, 2, 4], minlength=8)
    assert counts[0] == 0
    # Four standard errors of a share of 1/7.
    assert np.abs(counts[1:] / 4000 - 1 / 7).max() < 4 * math.sqrt(1 / 7 * 6 / 7 / 4000)


@pytest.mark.parametrize("ones", [1, 2, 3])
def test_exactly_so_many_losses_are_drawn(ones):
    weights = drawn(gates.Random("bernoulli", seed=1, ones=ones), 3)
    np.testing.assert_allclose(weights.sum(1), ones, rtol=1e-6)
    np.testing.assert_allclose(np.sort(weights, 1)[:, -ones:], 1, rtol=1e-6)
    assert np.abs(weights.mean(0) - ones / 3).max() < 4 * math.sqrt(2 / 9 / 4000)


def test_a_random_normal_keeps_its_means_and_deviations():
    gate = gates.Random("random_normal", seed=3)
    gate.attach(("a", "b"))
    difference = np.log(drawn(gate, 2) @ [[1, 0], [0, 1]])
    difference = difference[:, 0] - difference[:, 1]
    means, deviations = (np.array(part) for part in gate._law())
    assert (means > 0).all()
    assert (means < 1).all()
    spread = math.hypot(*deviations)
    assert abs(difference.mean() - (means[0] - means[1])) < 4 * spread / math.sqrt(4000)
    assert abs(difference.std() / spread - 1) < 4 / math.sqrt(2 * 4000)
    resting = gate.gating(gates.Context(None, False))
    np.testing.assert_allclose(tf.nn.softmax(resting.logits), np.exp(means) / np.exp(means).sum(), rtol=1e-6)


def test_draws_are_a_function_of_seed_and_step():
    first, again, other = (drawn(gates.Random(seed=seed), 3, steps=50) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first[:, 0])) == 50
    assert not (first == other).any()


def test_more_ones_than_losses_are_refused():
    with pytest.raises(ValueError, match="`ones` must .*2 losses.*Received:"):
        blend_of(gates.Random("bernoulli", seed=0, ones=3), 2)


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: gates.Random("gamma", seed=0), ValueError, "distribution"),
        (lambda: gates.Random(seed=2**64), ValueError, "seed"),
        pytest.param(lambda: gates.Random(seed=0, ones=1), ValueError, "ones", id="ones of the default law"),
        pytest.param(lambda: gates.Random("bernoulli", seed=0, ones=0), ValueError, "ones", id="no ones"),
    ],
)
def test_a_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=f"`{name}` must"):
        make()
