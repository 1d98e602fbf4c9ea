"""`SoftAdapt`: the slopes it takes, when its weights change, and its relatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from blendloss.gates._from_values._softadapt_rates import forward_difference, over_sum, over_sum_of_sizes
from tests.gates.values import FLOAT64_ROUNDING, blend_of, falling, in_training, precise, train

# Slopes


@pytest.mark.parametrize("order", range(1, 8))
def test_the_difference_is_exact_for_polynomials_up_to_its_order(order):
    time = np.arange(order + 1.0)
    powers = np.stack([(time - 0.5) ** degree for degree in range(order + 1)], axis=1)
    expected = [degree * (-0.5) ** (degree - 1) if degree else 0 for degree in range(order + 1)]
    # Sums of terms of up to this size, each rounded.
    size = 2.0**order * np.abs(powers).max()
    np.testing.assert_allclose(forward_difference(tf.constant(powers)), expected, rtol=0, atol=8 * 2.0**-52 * size)


@pytest.mark.parametrize(
    "coefficients",
    [[-1, 1], [-3 / 2, 2, -1 / 2], [-25 / 12, 4, -3, 4 / 3, -1 / 4], [-137 / 60, 5, -5, 10 / 3, -5 / 4, 1 / 5]],
    ids=["1", "2", "4", "5"],
)
def test_the_difference_has_the_package_coefficients(coefficients):
    found = forward_difference(tf.eye(len(coefficients), dtype=tf.float64))
    np.testing.assert_allclose(found, coefficients, rtol=4 * 2.0**-52)


def test_the_slope_of_a_constant_is_0():
    np.testing.assert_array_equal(forward_difference(tf.fill([5, 2], 0.1)), [0, 0])


def test_normalized_rates():
    rates = tf.constant([1.0, -3.0, 0.0])
    np.testing.assert_allclose(over_sum(rates), [-0.5, 1.5, 0])
    np.testing.assert_allclose(over_sum_of_sizes(rates), [0.25, -0.75, 0])
    np.testing.assert_array_equal(over_sum(tf.constant([1.0, -1.0])), [1, -1])
    np.testing.assert_array_equal(over_sum_of_sizes(tf.zeros([2])), [0, 0])


# Weights


def test_softadapt_changes_every_fifth_step():
    losses = falling(3, 14)
    weights = in_training(precise(gates.SoftAdapt(2.0)), losses)
    np.testing.assert_array_equal(weights[:4], np.ones([4, 3]))
    for start in (4, 9):
        np.testing.assert_array_equal(weights[start : start + 5], np.tile(weights[start], [5, 1]))
        slopes = np.array([-25 / 12, 4, -3, 4 / 3, -1 / 4]) @ losses[start - 4 : start + 1]
        np.testing.assert_allclose(weights[start], np.exp(2 * slopes) / np.exp(2 * slopes).sum(), rtol=FLOAT64_ROUNDING)


def test_softadapt_slides_where_it_changes_more_often():
    losses = falling(3, 8)
    weights = in_training(precise(gates.SoftAdapt(2.0, order=2, every=1)), losses)
    np.testing.assert_array_equal(weights[:2], np.ones([2, 3]))
    slopes = -1.5 * losses[:-2] + 2 * losses[1:-1] - 0.5 * losses[2:]
    expected = np.exp(2 * slopes) / np.exp(2 * slopes).sum(1, keepdims=True)
    np.testing.assert_allclose(weights[2:], expected, rtol=FLOAT64_ROUNDING)


def test_loss_weighted_softadapt_takes_the_mean_of_all_it_keeps():
    losses = falling(2, 5)
    weights = in_training(precise(gates.SoftAdapt(0.0, order=1, every=6, loss_weighted=True)), losses)
    np.testing.assert_allclose(weights[-1], losses.sum(0) / losses.sum(), rtol=FLOAT64_ROUNDING)


def test_softadapt_of_ratios_is_dwa_of_single_steps_with_the_present_loss():
    losses = falling(3, 6)
    weights = in_training(precise(gates.SoftAdapt(1.0, rate="ratio", total=None)), losses)
    ratios = np.exp(losses[1:] / losses[:-1])
    np.testing.assert_array_equal(weights[0], [1, 1, 1])
    np.testing.assert_allclose(weights[1:], 3 * ratios / ratios.sum(1, keepdims=True), rtol=FLOAT64_ROUNDING)


def test_softadapt_of_the_relobralo_repository():
    """Its rule in NumPy; its first step compares with 1, ours does not change the weights."""
    losses, lam = falling(3, 6), np.ones(3)
    weights = in_training(precise(gates.SoftAdapt(0.1, order=1, every=1, total=None, momentum=0.9)), losses)
    for before, now, found in zip(losses, losses[1:], weights[1:], strict=False):
        share = np.exp(0.1 * (now - before))
        lam = 0.9 * lam + 0.1 * 3 * share / share.sum()
        np.testing.assert_allclose(found, lam, rtol=FLOAT64_ROUNDING)


def test_loss_weighted_softadapt_refuses_negative_losses():
    def blend():
        return blend_of(gates.SoftAdapt(order=1, every=1, loss_weighted=True), 2)

    eager = blend()
    train(eager, [1.0, 2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="mean losses"):
        train(eager, [1.0, -4.0], step=1)
    compiled = blend()
    step = tf.function(lambda losses: train(compiled, losses).value, jit_compile=True)
    step(tf.constant([1.0, 2.0]))
    assert np.isnan(step(tf.constant([1.0, -4.0])))
    assert np.isnan(step(tf.constant([1.0, 2.0])))  # the mean of -4 and 2
    np.testing.assert_allclose(step(tf.constant([1.0, 2.0])), 5 / 3)


def test_softadapt_keeps_its_weights_where_the_slopes_overflow():
    blend = blend_of(gates.SoftAdapt(10.0, order=1, every=1), 2)
    for losses in ([1.0, 1.0], [1.0, 1.1]):
        before = train(blend, losses).weights.numpy()
    np.testing.assert_array_equal(train(blend, [3e38, -3e38]).weights, before)


# Arguments


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: gates.SoftAdapt("1"), TypeError, "beta"),
        (lambda: gates.SoftAdapt(math.inf), ValueError, "beta"),
        pytest.param(lambda: gates.SoftAdapt(order=0), ValueError, "order", id="order of 0"),
        (lambda: gates.SoftAdapt(order=1.0), TypeError, "order"),
        pytest.param(lambda: gates.SoftAdapt(order=1, rate="ratio"), ValueError, "order", id="order of a ratio"),
        (lambda: gates.SoftAdapt(every=0), ValueError, "every"),
        (lambda: gates.SoftAdapt(rate="difference"), ValueError, "rate"),
        (lambda: gates.SoftAdapt(normalize="l1"), ValueError, "normalize"),
        (lambda: gates.SoftAdapt(loss_weighted=1), TypeError, "loss_weighted"),
        (lambda: gates.SoftAdapt(total=0), ValueError, "total"),
        (lambda: gates.SoftAdapt(momentum=1), ValueError, "momentum"),
    ],
)
def test_a_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=f"`{name}` must"):
        make()
