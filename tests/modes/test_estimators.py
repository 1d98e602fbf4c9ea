"""Estimators: each gradient against its paper's definition, frequencies, bias, and the closed form of ST's bias."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from blendloss import modes
from blendloss._internal.random import gumbel
from tests.modes import reference
from tests.modes.instances import every_relaxation

RNG = np.random.default_rng(2)
K = 4
LOGITS = np.round(RNG.normal(size=(30, K)) * 64) / 64  # multiples of 1/64: shifts and halvings are exact
UPSTREAM = RNG.normal(size=LOGITS.shape)


def gradient(mode, logits, upstream, **options):
    """The chosen one-hot and the estimate of dL/dlogits for dL/dD = `upstream`, float64."""
    logits = tf.constant(logits, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        weights = mode(logits, **options)
    return weights.numpy(), tape.gradient(weights, logits, output_gradients=tf.constant(upstream, tf.float64)).numpy()


def transposed(jacobian, upstream):
    return np.einsum("...ij,...i->...j", jacobian, upstream)


# Straight-through


@every_relaxation
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_straight_through_is_the_relaxations_gradient_to_the_bit(relax, temperature):
    logits, upstream = tf.constant(LOGITS, tf.float32), tf.constant(UPSTREAM, tf.float32)
    mode = modes.StraightThrough(relax, temperature)
    results = []
    for function in (mode, lambda z: relax(z / temperature)):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            weights = function(logits)
        results.append(tape.gradient(weights, logits, output_gradients=upstream).numpy())
    np.testing.assert_array_equal(*results)


@every_relaxation
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_straight_through_is_the_transposed_jacobian(relax, temperature):
    chosen, estimate = gradient(modes.StraightThrough(relax, temperature), LOGITS, UPSTREAM)
    np.testing.assert_array_equal(chosen, np.eye(K)[LOGITS.argmax(-1)])
    jacobian = reference.jacobian(relax.__name__, LOGITS / temperature) / temperature
    # A dozen float64 roundings of numbers below 4 / temperature; bisection knows sqrt(p) to 1e-14.
    np.testing.assert_allclose(estimate, transposed(jacobian, UPSTREAM), rtol=0, atol=1e-13 / temperature)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_gumbel_straight_through_is_the_transposed_jacobian_at_its_noise(temperature):
    chosen, estimate = gradient(modes.GumbelStraightThrough(11, temperature), LOGITS, UPSTREAM, step=6)
    noisy = LOGITS + gumbel(tf.constant(LOGITS), 11, tf.constant(6, tf.int64)).numpy()
    np.testing.assert_array_equal(chosen, np.eye(K)[noisy.argmax(-1)])
    jacobian = reference.jacobian("softmax", noisy / temperature) / temperature
    np.testing.assert_allclose(estimate, transposed(jacobian, UPSTREAM), rtol=0, atol=1e-13 / temperature)


# ReinMax


@pytest.mark.parametrize("temperature", [1.0, 1.3, 4.0])
def test_reinmax_is_the_papers_formula(temperature):
    sample, estimate = gradient(modes.ReinMax(5, temperature), LOGITS, UPSTREAM, step=6)
    assert len(np.unique(sample, axis=0)) == K
    expected = reference.reinmax(LOGITS, sample, UPSTREAM, temperature)
    np.testing.assert_allclose(estimate, expected, rtol=0, atol=1e-14)  # sums of K products below 10 in float64


@pytest.mark.parametrize("make", [modes.GumbelStraightThrough, modes.ReinMax])
def test_samples_are_categorical(make):
    """Frequencies over the rows of a batch and over steps: 4 binomial standard errors, fixed seeds."""
    logits = np.float32([0.0, 1.0, -1.0, 2.0])
    probabilities = reference.softmax(logits.astype(np.float64))
    mode, n = make(3), 4000
    rows = mode(np.tile(logits, (n, 1)), step=1).numpy()
    draw = tf.function(lambda steps: tf.map_fn(lambda s: mode(logits, step=s), steps, fn_output_signature=tf.float32))
    steps = draw(tf.range(n, dtype=tf.int64)).numpy()
    for sample in (rows, steps):
        error = np.sqrt(probabilities * (1 - probabilities) / n)
        assert (np.abs(sample.mean(0) - probabilities) < 4 * error).all()
        # Neighbours are independent: their agreement is a Bernoulli variable too.
        agreement, expected = (sample[1:] * sample[:-1]).sum(-1).mean(), (probabilities**2).sum()
        assert abs(agreement - expected) < 4 * np.sqrt(3 * expected * (1 - expected) / n)  # pairs overlap: at most 3x


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_does_not_favour_the_first(dtype):
    """Noise rounded to bfloat16 ties in 1 of 100 draws, and ties go to the first loss."""
    n = 40_000
    sample = modes.ReinMax(3)(tf.zeros([n, 2], dtype), step=1).numpy().astype(np.float64)
    assert abs(sample[:, 0].mean() - 0.5) < 4 * 0.5 / np.sqrt(n)


# Bias: E[f(D)] over a binary D = (z, 1 - z), with exact expectations by enumeration

POLYNOMIALS = {
    "quadratic": (lambda z: (z - 0.45) ** 2, lambda z: 2 * (z - 0.45)),
    "cubic": (lambda z: z**3 - 0.4 * z, lambda z: 3 * z**2 - 0.4),
    "quartic": (lambda z: (z - 0.3) ** 4, lambda z: 4 * (z - 0.3) ** 3),
}
SHARES = np.array([0.1, 0.3, 0.8, 0.95])


def logits_of(share):
    return np.log(np.stack([share, 1 - share], -1))


def samples_of_both(mode, logits, slope):
    """{z: gradient} for both samples z, from as many steps as it takes for every row to have drawn both."""
    found = {0.0: np.full(logits.shape, np.nan), 1.0: np.full(logits.shape, np.nan)}
    copies = np.repeat(logits[:, None], 300, 1)
    sample = mode(tf.constant(copies), step=0).numpy()[..., :1]
    upstream = np.concatenate([slope(sample), np.zeros_like(sample)], -1)
    again, estimate = gradient(mode, copies, upstream, step=0)
    np.testing.assert_array_equal(again[..., :1], sample)
    for row in range(len(logits)):
        for z in found:
            found[z][row] = estimate[row][np.argmax(sample[row, :, 0] == z)]
            assert (sample[row, :, 0] == z).any()
    return found


def expected_reinmax(share, slope):
    found = samples_of_both(modes.ReinMax(0), logits_of(share), slope)
    return share[:, None] * found[1.0] + (1 - share[:, None]) * found[0.0]


def expected_straight_through(share, slope):
    """The straight-through gradient at both samples; its Jacobian is that of the softmax at the logits."""
    total = 0
    for z, probability in ((1.0, share), (0.0, 1 - share)):
        upstream = np.tile([slope(np.float64(z)), 0.0], (len(share), 1))
        total = total + probability[:, None] * gradient(modes.StraightThrough(), logits_of(share), upstream)[1]
    return total


def exact(share, value):
    slope = share * (1 - share) * (value(1.0) - value(0.0))
    return np.stack([slope, -slope], -1)


def test_expected_reinmax_is_exact_for_a_quadratic():
    value, slope = POLYNOMIALS["quadratic"]
    np.testing.assert_allclose(expected_reinmax(SHARES, slope), exact(SHARES, value), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("value", "slope"), POLYNOMIALS.values(), ids=POLYNOMIALS)
def test_expected_reinmax_is_closer_than_straight_through(value, slope):
    bias = np.abs(expected_reinmax(SHARES, slope) - exact(SHARES, value)).max()
    assert bias < np.abs(expected_straight_through(SHARES, slope) - exact(SHARES, value)).max()


@pytest.mark.parametrize(("p", "loss"), [(1.5, 0.35223), (2.0, 0.24750), (3.0, 0.12130)])
def test_straight_through_stops_where_its_bias_says(p, loss):
    """For E|z - c|^p the expected estimate is 0 at c^(p-1) / (c^(p-1) + (1-c)^(p-1)), not at an optimum."""
    c = 0.45
    share = np.array([c ** (p - 1) / (c ** (p - 1) + (1 - c) ** (p - 1))])

    def value(z):
        return np.abs(z - c) ** p

    def slope(z):
        return p * np.sign(z - c) * np.abs(z - c) ** (p - 1)

    np.testing.assert_allclose(expected_straight_through(share, slope), 0, atol=1e-15)
    assert expected_straight_through(share + 0.01, slope)[0, 0] > 1e-4  # the sign changes here
    assert expected_straight_through(share - 0.01, slope)[0, 0] < -1e-4
    assert abs(share * value(1.0) + (1 - share) * value(0.0) - loss) < 1e-5  # five digits, not all rounded
    assert abs(exact(share, value)[0, 0]) > 1e-3  # the true gradient is not 0
    # ReinMax there points where the true gradient does.
    assert np.sign(expected_reinmax(share, slope)[0, 0]) == np.sign(exact(share, value)[0, 0])
