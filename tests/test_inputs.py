"""What the public interface takes for a tensor: each is converted once, or refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._internal import conversion

Y, P = np.zeros((6, 2), "float32"), np.ones((6, 2), "float32")
NO_TENSORS = {
    "ragged": tf.RaggedTensor.from_row_lengths(tf.zeros([12]), [2] * 6),
    "sparse": tf.sparse.from_dense(P),
    "masked": np.ma.array(Y, mask=Y == 0),
    "masked rows": [np.ma.array(row, mask=row == 0) for row in Y],
    "complex": Y + 1j,
    "dict": {"a": Y, "b": Y},
    "symbolic": keras.Input([2]),
    "generator": (row for row in Y),
    "object": object(),
    "rows of two lengths": [[1.0], [1.0, 2.0]],
    "beyond 64 bits": [[10**30, 1]] * 6,
    "10**400": 10**400,
}


def blend_of(loss):
    return bl.Blend({"loss": loss}, bl.gates.Fixed([1.0]))


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in NO_TENSORS.items()])
@pytest.mark.parametrize(
    "loss", [bl.losses.Huber(), "mse", lambda y, p: tf.reduce_mean(p - y, -1)], ids=["penalty", "keras", "own"]
)
def test_inputs_that_are_no_dense_numbers_are_refused_by_name(loss, value):
    blend = blend_of(loss)
    for name, given in (("y_true", (value, P)), ("y_pred", (Y, value)), ("sample_weight", (Y, P, value))):
        with pytest.raises((TypeError, ValueError), match=rf"^`{name}` must .*Received: "):
            blend(*given)


def test_dense_numbers_are_accepted():
    blend = blend_of("mse")
    table = pytest.importorskip("pandas").DataFrame(Y)
    for y_true in (Y, Y.tolist(), Y.astype(int), Y > 1, Y.astype("float16"), tf.Variable(Y), keras.Variable(Y), table):
        assert float(blend(y_true, P, np.full(6, 3, "int8"))) == 3.0
    rows = [tf.zeros([2])] * 6
    assert float(blend(rows, P)) == 1.0


def test_targets_that_are_strings_reach_a_function_of_ones_own_alone():
    words = np.array([["1", "2"]] * 6)
    numbers = blend_of(lambda y, p: tf.reduce_mean(p - tf.strings.to_number(y), -1))
    assert float(numbers(words, P)) == -0.5
    with pytest.raises(TypeError, match="`y_true` must be real numbers. Received: y_true of dtype string"):
        blend_of(bl.losses.Huber())(words, P)


@pytest.mark.parametrize("loss", [bl.losses.Huber(), "mse"], ids=["penalty", "keras"])
@pytest.mark.parametrize("shape", [[5], [2], [6, 2], [12], [6, 1, 1]], ids=str)
def test_sample_weights_of_another_length_are_named(loss, shape):
    with pytest.raises(ValueError, match="^`sample_weight` must .*Received: shape"):
        blend_of(loss)(Y, P, np.ones(shape))


@pytest.mark.parametrize("shape", [[], [1], [6], [6, 1]], ids=str)
def test_sample_weights_that_keras_takes_are_taken(shape):
    weights = np.full(shape, 2.0, "float32")
    assert float(blend_of("mse")(Y, P, weights)) == float(keras.losses.MeanSquaredError()(Y, P, weights))


def test_lists_are_read_as_tensorflow_reads_them():
    assert conversion.real("x", [1, 2]).dtype == tf.int32
    assert conversion.floating("x", np.float64([1.0])).dtype == tf.float64
