"""Shapes, dtypes, arguments, serialization, the peers' conventions, and the adapter."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from blendloss import losses
from blendloss.losses._adapter import AdaptedLoss, as_loss
from tests.losses.penalties import every_penalty

RNG = np.random.default_rng(0)
Y_TRUE, Y_PRED = RNG.normal(size=(2, 6, 3)).astype(np.float32)


@every_penalty
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3), (0, 3), (4, 1)], ids=str)
def test_per_example_shape(penalty, shape):
    values = penalty(np.zeros(shape, np.float32), np.ones(shape, np.float32))
    assert values.shape == (shape if len(shape) == 1 else shape[:-1])


def test_a_last_axis_of_one_is_squeezed_or_added_as_in_keras():
    penalty = losses.SquaredError()
    flat, column = np.arange(4.0, dtype=np.float32), np.ones((4, 1), np.float32)
    for y_true, y_pred in [(flat, column), (column, flat)]:
        expected = keras.losses.MeanSquaredError(reduction=None)(y_true, y_pred)
        np.testing.assert_array_equal(penalty(y_true, y_pred), expected)


@pytest.mark.parametrize(
    "shapes", [((4, 3), (4, 2)), ((4, 1), (4, 3)), ((4,), (5,)), ((4,), (4, 3)), ((2, 4, 3), (4, 3))], ids=str
)
def test_shapes_that_would_broadcast_raise(shapes):
    with pytest.raises(ValueError, match="`y_true` and `y_pred` must have the same shape. Received: shapes"):
        losses.Huber()(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_the_dtype_is_that_of_the_predictions():
    assert losses.Huber()([1, 2], np.array([1.0, 2.0])).dtype == tf.float64
    assert losses.Huber()([1, 2], [1, 2]).dtype == tf.float32
    for bad in (["a", "b"], [True, False], [1j]):
        with pytest.raises(TypeError, match="`y_pred` must be real numbers"):
            losses.Huber()([1.0, 2.0], bad)


# AdaptiveBarron, which trains, losses of parts of the outputs and m_estimators have files of their own.
ELSEWHERE = ("Penalty", "AdaptiveBarron", "AddedLoss", "Columns", "OutputLoss", "m_estimators")
CLASSES = [getattr(losses, name) for name in losses.__all__ if name not in ELSEWHERE]
BOUNDARIES = {
    "epsilon": st.floats(max_value=-1e-300),
    "quantile": st.one_of(st.floats(max_value=0), st.floats(min_value=1)),
}


@pytest.mark.parametrize("cls", CLASSES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_bad_argument_is_named(cls, data):
    for name in cls().get_config():
        wrong_type = st.one_of(st.text(), st.none(), st.booleans(), st.complex_numbers(), st.lists(st.floats()))
        domain = st.just(math.nan) if name == "alpha" else BOUNDARIES.get(name, st.floats(max_value=0))
        with pytest.raises(TypeError, match=f"`{name}` must"):
            cls(**{name: data.draw(wrong_type)})
        with pytest.raises(ValueError, match=f"`{name}` must.*Received: {name}="):
            cls(**{name: data.draw(domain)})
        if name != "alpha":
            with pytest.raises(ValueError, match=f"`{name}` must"):
                cls(**{name: data.draw(st.sampled_from([math.nan, math.inf]))})


@every_penalty
def test_configuration_round_trip(penalty):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(penalty))
    assert again == penalty
    assert hash(again) == hash(penalty)
    assert type(penalty).from_config(penalty.get_config()) == penalty
    assert repr(penalty).startswith(type(penalty).__name__)


LOG_2 = math.log(2)
KERAS = [
    ("mse", losses.SquaredError(), keras.losses.mean_squared_error),
    ("mae", losses.AbsoluteError(), keras.losses.mean_absolute_error),
    ("huber", losses.Huber(1.5), lambda a, b: keras.losses.huber(a, b, delta=1.5)),
    # Keras subtracts log 2 rounded to float32, whatever the dtype.
    ("log-cosh", losses.LogCosh(), lambda a, b: keras.losses.log_cosh(a, b) + (float(np.float32(LOG_2)) - LOG_2)),
]


@pytest.mark.parametrize(("penalty", "function"), [row[1:] for row in KERAS], ids=[row[0] for row in KERAS])
def test_agrees_with_keras(penalty, function):
    y_true, y_pred = Y_TRUE.astype(np.float64), Y_PRED.astype(np.float64)
    np.testing.assert_allclose(penalty(y_true, y_pred), function(y_true, y_pred), rtol=1e-12)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.75])
def test_agrees_with_scikit_learn(quantile):
    ours = tf.reduce_mean(losses.Quantile(quantile)(Y_TRUE, Y_PRED))
    assert float(ours) == pytest.approx(mean_pinball_loss(Y_TRUE.ravel(), Y_PRED.ravel(), alpha=quantile), rel=1e-6)


def test_agrees_with_tensorflow_probability():
    residual = np.linspace(-20, 20, 81)
    np.testing.assert_allclose(losses.LogCosh().value(residual), tfp.math.log_cosh(residual), rtol=1e-13)
    cauchy = tfp.distributions.Cauchy(np.float64(0), 1.5)
    offset = cauchy.log_prob(0.0) - cauchy.log_prob(residual)
    np.testing.assert_allclose(losses.Cauchy(1.5).value(residual), offset * 1.5**2 / 2, rtol=1e-12, atol=1e-14)


def test_epsilon_insensitive_is_its_formula():
    expected = np.maximum(np.abs(Y_PRED - Y_TRUE) - np.float32(0.3), 0).mean(-1)
    np.testing.assert_allclose(losses.EpsilonInsensitive(0.3)(Y_TRUE, Y_PRED), expected, rtol=1e-6)


ADAPTED = [
    ("name", "mse", keras.losses.mean_squared_error),
    ("long-name", "mean_absolute_error", keras.losses.mean_absolute_error),
    ("class-name", "MeanSquaredError", keras.losses.mean_squared_error),
    ("instance", keras.losses.Huber(delta=2.0), lambda a, b: keras.losses.huber(a, b, delta=2.0)),
    ("no-reduction", keras.losses.MeanSquaredError(reduction="none"), keras.losses.mean_squared_error),
    ("mean", keras.losses.MeanSquaredError(reduction="mean"), keras.losses.mean_squared_error),
]


@pytest.mark.parametrize(("loss", "function"), [row[1:] for row in ADAPTED], ids=[row[0] for row in ADAPTED])
def test_a_keras_loss_gives_unreduced_values(loss, function):
    adapted = as_loss("mine", loss)
    np.testing.assert_array_equal(adapted(Y_TRUE, Y_PRED), function(Y_TRUE, Y_PRED))
    assert isinstance(adapted, AdaptedLoss)
    assert adapted.loss is loss
    assert as_loss("mine", adapted) is adapted


def test_class_labels_pass_through():
    adapted = as_loss("mine", "sparse_categorical_crossentropy")
    probabilities = np.full((4, 3), 1 / 3, np.float32)
    np.testing.assert_allclose(adapted(np.array([0, 1, 2, 0]), probabilities), np.full(4, math.log(3)), rtol=1e-6)


def test_callables_are_returned_as_they_are():
    def own(y_true, y_pred):
        return tf.abs(y_true - y_pred)[:, 0]

    penalty = losses.Huber()
    assert as_loss("mine", own) is own
    assert as_loss("mine", penalty) is penalty


@pytest.mark.parametrize("unknown", ["no-such-loss", "", "relu"])
def test_an_unknown_name_raises(unknown):
    with pytest.raises(ValueError, match="`mine` must be the name of a Keras loss. Received: mine="):
        as_loss("mine", unknown)


@pytest.mark.parametrize("wrong", [None, 3, 1.5, ["mse"], losses.Huber], ids=str)
def test_anything_else_raises(wrong):
    with pytest.raises(TypeError, match="`mine` must be a penalty, a Keras loss or its name"):
        as_loss("mine", wrong)
