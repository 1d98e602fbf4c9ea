"""`OutputLoss` by itself: values, constant targets, configuration, and what it refuses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import OutputLoss
from tests.losses import golden
from tests.losses.several_outputs import PREDICTED, TRUE


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "values"),
    [row[1:] for row in golden.OUTPUT_LOSSES],
    ids=[row[0] for row in golden.OUTPUT_LOSSES],
)
def test_golden_values(loss, y_true, y_pred, values):
    np.testing.assert_array_equal(loss(y_true, y_pred), np.float32(values))


def test_a_constant_target_is_of_the_outputs_shape_and_dtype():
    output = np.ones([4, 2, 3])
    target, same = OutputLoss("pde", "mse", 0.25).select(None, {"pde": output})
    assert same is output
    assert target.dtype == tf.float64
    np.testing.assert_array_equal(target, np.full([4, 2, 3], 0.25))


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "message"),
    [
        (OutputLoss("depth", "mse"), TRUE, {"dpeth": 0}, r"`y_pred` must have 'depth'.*Received: \['dpeth'\]"),
        (
            OutputLoss("depth", "mse"),
            {"a": 0, "b": 1},
            PREDICTED,
            r"`y_true` must have 'depth'.*Received: \['a', 'b'\]",
        ),
        (OutputLoss("depth", "mse", "far"), TRUE, PREDICTED, "`y_true` must have 'far'"),
        (OutputLoss("depth", "mse"), None, PREDICTED, "`y_true` must have 'depth'.*type NoneType"),
        (OutputLoss("depth", "mse"), TRUE, [1, 2], "`y_pred` must have 'depth'.*type list"),
        (OutputLoss("depth", "mse"), TRUE, tf.zeros([2]), "`y_pred` must have 'depth'"),
        (OutputLoss(2, "mse"), [1, 2, 3], [1, 2], r"`y_pred` must have 2.*Received: \[0, 1\]"),
        (OutputLoss(-3, "mse"), [1, 2], [1, 2], "`y_pred` must have -3"),
        (OutputLoss("depth", "mse", 0), TRUE, PREDICTED, r"`y_true` must have 0.*the float 0\.0"),
    ],
    ids=str,
)
def test_a_missing_output_is_named(loss, y_true, y_pred, message):
    with pytest.raises(KeyError, match=message):
        loss(y_true, y_pred)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.5, "mse"), "`output` must be a key or an index"),
        ((True, "mse"), "`output` must be a key or an index"),
        ((None, "mse"), "`output` must be a key or an index"),
        (("a", "mse", True), "`target` must be a key, an index or a float"),
        (("a", "mse", [0.0]), "`target` must be a key, an index or a float"),
        (("a", OutputLoss("a", "mse")), "`loss` must not be an `OutputLoss` itself"),
        (("a", 3), "`loss` must be a penalty"),
    ],
    ids=str,
)
def test_wrong_types(arguments, message):
    with pytest.raises(TypeError, match=message):
        OutputLoss(*arguments)


@pytest.mark.parametrize("target", [np.nan, np.inf])
def test_a_constant_target_is_finite(target):
    with pytest.raises(ValueError, match="`target` must (be finite|not be NaN)"):
        OutputLoss("a", "mse", target)


@keras.saving.register_keras_serializable(package="tests")
def cubes(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_true - y_pred) ** 3, axis=-1)


@pytest.mark.parametrize(
    "loss",
    [
        OutputLoss("a", "mse"),
        OutputLoss(0, bl.losses.Huber(2.0), target=1),
        OutputLoss("a", keras.losses.Huber(delta=2.0), target=0.5),
        OutputLoss(-1, cubes, target="b"),
    ],
    ids=["name", "penalty", "keras", "function"],
)
def test_round_trip(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again == loss
    assert hash(again) == hash(loss)
    assert type(again.target) is type(loss.target)
    assert repr(loss).startswith("OutputLoss(output=")
    y_true = {"a": [[1.0]], "b": [[2.0]]} if loss.output == "a" else [[[1.0]], [[2.0]]]
    if loss.target != "b":
        np.testing.assert_array_equal(again(y_true, y_true), loss(y_true, y_true))
