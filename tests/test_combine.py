"""A weight of exactly 0 switches its loss off."""

import numpy as np
import pytest
import tensorflow as tf

from blendloss._blend.weighted_sum import block_nonfinite_gradient, masked_product, weighted_sum

BROKEN = [np.inf, -np.inf, np.nan]


def value_and_gradients(losses, weights):
    losses, weights = tf.constant(losses), tf.constant(weights)
    with tf.GradientTape() as tape:
        tape.watch([losses, weights])
        value = weighted_sum(losses, weights)
    return [float(value), *(gradient.numpy().tolist() for gradient in tape.gradient(value, [losses, weights]))]


def test_sum_and_its_gradients():
    assert value_and_gradients([2.0, 3.0], [0.25, 0.75]) == [2.75, [0.25, 0.75], [2.0, 3.0]]


def test_weight_zero_on_a_finite_loss_keeps_the_loss_in_the_gate_gradient():
    assert value_and_gradients([2.0, 3.0], [1.0, 0.0]) == [2.0, [1.0, 0.0], [2.0, 3.0]]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_loss_of_weight_zero_reaches_nothing(broken):
    """In dL/dg it counts as the value itself, so that softmax's Jacobian gives its logit the gradient 0."""
    assert value_and_gradients([2.0, broken], [1.0, 0.0]) == [2.0, [1.0, 0.0], [2.0, 2.0]]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_loss_of_weight_zero_does_not_spoil_an_infinite_one(broken):
    assert value_and_gradients([np.inf, broken], [1.0, 0.0])[:2] == [np.inf, [1.0, 0.0]]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_loss_of_positive_weight_is_seen(broken):
    value, _, _ = value_and_gradients([2.0, broken], [0.5, 0.5])
    np.testing.assert_equal(value, broken)


@pytest.mark.parametrize("second", [0.75, 0.0])
@pytest.mark.parametrize("loss_first", [True, False])
def test_second_derivative_in_loss_and_weight(loss_first, second):
    losses, weights = tf.Variable([2.0, 3.0]), tf.Variable([0.25, second])
    first, then = (losses, weights) if loss_first else (weights, losses)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = weighted_sum(losses, weights)
        gradient = inner.gradient(value, first)
    np.testing.assert_array_equal(outer.jacobian(gradient, then), np.eye(2))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_weights_of_all_examples_get_the_gradients_of_each(jit_compile):
    @tf.function(jit_compile=jit_compile, input_signature=[tf.TensorSpec([None, 2]), tf.TensorSpec([2])])
    def gradients(losses, weights):
        with tf.GradientTape() as tape:
            tape.watch([losses, weights])
            values = weighted_sum(losses, weights)
        assert values.shape.as_list() == [None]
        return tape.gradient(values, [losses, weights], output_gradients=tf.constant([1.0, 10.0, 100.0]))

    losses, weights = gradients(np.float32([[1, np.inf], [2, 3], [4, np.nan]]), np.float32([0.5, 0]))
    np.testing.assert_array_equal(losses, [[0.5, 0], [5, 0], [50, 0]])
    # Where the second loss is broken, it is read as the blend: 0.5 and 2.
    np.testing.assert_array_equal(weights, [1 + 20 + 400, 0.5 + 30 + 200])


def test_losses_of_one_example_are_those_of_every_row_of_weights():
    losses, weights = tf.constant([[2.0, np.inf]]), tf.constant([[0.5, 0.0], [1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch([losses, weights])
        values = weighted_sum(losses, weights)
    np.testing.assert_array_equal(values, [1, 2])
    gradients = tape.gradient(values, [losses, weights])
    np.testing.assert_array_equal(gradients[0], [[1.5, 0]])
    np.testing.assert_array_equal(gradients[1], [[2, 1], [2, 2]])


@pytest.mark.parametrize("off", [True, False])
def test_block_nonfinite_gradient_is_the_identity_forward_and_stops_nan(off):
    x = tf.constant([0.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(0.0 * tf.exp(-1 / block_nonfinite_gradient(x, tf.constant(off))))
    gradient = tape.gradient(value, x).numpy()
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, [0.0, 0.0] if off else [np.nan, 0.0])


def product_and_gradients(factor, slope, off):
    factor, slope = tf.constant(factor), tf.constant(slope)
    with tf.GradientTape() as tape:
        tape.watch([factor, slope])
        product = masked_product(factor, slope, tf.constant(off))
    return [product.numpy().tolist(), *(g.numpy().tolist() for g in tape.gradient(product, [factor, slope]))]


def test_a_product_that_is_on_is_a_product():
    assert product_and_gradients(3.0, [1.0, 2.0], False) == [[3.0, 6.0], 3.0, [3.0, 3.0]]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_product_that_is_on_shows_what_is_broken(broken):
    product, by_factor, _ = product_and_gradients(3.0, [1.0, broken], False)
    assert not np.isfinite(product[1])
    assert not np.isfinite(by_factor)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_masked_product_has_a_finite_derivative_in_the_weight(broken):
    assert product_and_gradients(0.0, [1.0, broken, 2.0], True) == [[0.0, 0.0, 0.0], 3.0, [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_product_masks_each_row_by_itself(broken):
    found = product_and_gradients([[0.0], [2.0]], [[1.0, broken], [3.0, 4.0]], [[True], [False]])
    assert found == [[[0.0, 0.0], [6.0, 8.0]], [[1.0], [7.0]], [[0.0, 0.0], [2.0, 2.0]]]
