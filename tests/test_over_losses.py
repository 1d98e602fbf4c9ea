"""Reductions over the losses, by operations on all examples or by TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from blendloss._internal.loss_axis import largest, total

REGIMES = [lambda function: function, tf.function, lambda function: tf.function(function, jit_compile=True)]
VALUES = np.random.default_rng(0).normal(size=(3, 5, 9))


@pytest.mark.parametrize("losses", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("regime", REGIMES, ids=["eager", "graph", "xla"])
def test_sums_and_maxima_are_those_of_numpy_and_keep_the_axis(losses, rank, regime):
    values = VALUES[..., :losses][(0,) * (3 - rank)]
    np.testing.assert_allclose(
        regime(total)(tf.constant(values)), values.sum(-1, keepdims=True), rtol=1e-12, atol=1e-15
    )
    np.testing.assert_array_equal(regime(largest)(tf.constant(values)), values.max(-1, keepdims=True))


@pytest.mark.parametrize("losses", [4, 5])
def test_the_sum_has_a_gradient_and_the_maximum_is_a_constant(losses):
    values = tf.constant(VALUES[0, :, :losses])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        sums, maxima = total(values), largest(values)
    np.testing.assert_array_equal(tape.gradient(sums, values), np.ones(values.shape))
    assert tape.gradient(maxima, values) is None


@pytest.mark.parametrize("shape", [(None, 3), (None, 7), (None, None)])
def test_shapes_may_be_unknown(shape):
    static = tf.function(total, input_signature=[tf.TensorSpec(shape)]).get_concrete_function().output_shapes
    assert static.as_list() == [None, 1]


def test_no_losses_have_the_sum_0():
    np.testing.assert_array_equal(total(tf.zeros([2, 0])), [[0.0], [0.0]])
