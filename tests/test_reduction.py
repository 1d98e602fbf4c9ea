"""Sums: accurate in every regime, and reduced as Keras reduces."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from blendloss._internal.reductions import accurate_mean, accurate_sum, reduce, weights_of_elements


def regimes(function):
    return {"eager": function, "graph": tf.function(function), "xla": tf.function(function, jit_compile=True)}


@pytest.mark.parametrize("regime", ["eager", "graph", "xla"])
def test_mean_of_two_to_the_24_values_is_within_one_in_a_million(regime):
    values = np.random.default_rng(0).exponential(size=2**24).astype("float32")
    mean = regimes(accurate_mean)[regime](tf.constant(values))
    reference = values.astype("float64").mean()
    assert abs(float(mean) - reference) / reference <= 1e-6


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 33, 100, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_length_sums_right(size, dtype):
    values = np.random.default_rng(size).normal(size=(3, size)).astype(dtype)
    expected = values.astype("float64").sum(axis=-1)
    np.testing.assert_allclose(accurate_sum(tf.constant(values)), expected, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("regime", ["eager", "graph", "xla"])
def test_gradient_of_a_sum_is_one_at_every_element(regime):
    def gradient(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            total = tf.reduce_sum(tf.constant([1.0, 2.0]) * accurate_sum(values))
        return tape.gradient(total, values)

    result = regimes(gradient)[regime](tf.ones([2, 50]))
    np.testing.assert_array_equal(result, np.repeat([[1.0], [2.0]], 50, axis=1))


def test_length_unknown_to_the_trace():
    traced = tf.function(accurate_sum, input_signature=[tf.TensorSpec([None, None])])
    np.testing.assert_array_equal(traced(tf.ones([2, 50])), [50.0, 50.0])
    np.testing.assert_array_equal(traced(tf.ones([3, 0])), [0.0, 0.0, 0.0])
    assert traced.get_concrete_function().structured_outputs.shape == [None]


REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none"]


class GivenValues(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("masked", [False, True], ids=["full", "masked"])
def test_reduces_as_keras_does(reduction, weighted, masked):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4, 3)).astype("float32")
    sample_weight = rng.uniform(size=(4, 3)).astype("float32") if weighted else None
    mask = rng.uniform(size=(4, 3)) > 0.4 if masked else None
    try:
        reference = GivenValues(reduction=reduction)
    except ValueError:
        pytest.skip(f"this Keras has no reduction {reduction!r}")
    prediction = tf.constant(values)
    if masked:
        prediction._keras_mask = tf.constant(mask)
    expected = reference(values, prediction, sample_weight=sample_weight)
    ours = reduce(
        tf.constant(values), weights_of_elements(tf.constant(values), sample_weight, mask, reduction), reduction
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_sample_weights_of_the_batch_reach_every_element():
    values = tf.ones([2, 3])
    weights = weights_of_elements(values, tf.constant([1.0, 3.0]), None, "sum")
    assert float(reduce(values, weights, "sum")) == 12.0
    column = weights_of_elements(tf.ones([2]), tf.constant([[1.0], [3.0]]), None, "sum")
    assert float(reduce(tf.ones([2]), column, "sum")) == 4.0


def test_mask_that_keeps_nothing_gives_zero():
    values = tf.constant([1.0, 2.0])
    weights = weights_of_elements(values, None, tf.constant([False, False]), "mean")
    assert float(reduce(values, weights, "mean")) == 0.0
