"""Gradients against float64 finite differences, for every loss with every mode, in predictions and in logits."""

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

LOSSES = {
    "squared": bl.losses.SquaredError(),
    "absolute": bl.losses.AbsoluteError(),
    "huber": bl.losses.Huber(0.7),
    "pseudo-huber": bl.losses.PseudoHuber(0.7),
    "log-cosh": bl.losses.LogCosh(0.7),
    "cauchy": bl.losses.Cauchy(0.7),
    "geman-mcclure": bl.losses.GemanMcClure(0.7),
    "welsch": bl.losses.Welsch(1.3),
    "tukey": bl.losses.Tukey(4.0),
    "fair": bl.losses.Fair(0.7),
    "quantile": bl.losses.Quantile(0.3),
    "epsilon-insensitive": bl.losses.EpsilonInsensitive(0.3),
    "barron": bl.losses.Barron(-1.5, 0.7),
    "keras": "mean_squared_logarithmic_error",
    "callable": lambda y_true, y_pred: tf.reduce_mean(tf.sin(y_true - y_pred), axis=-1),
}
MODES = {
    "softmax": bl.modes.Soft(),
    "sparsemax": bl.modes.Soft(bl.modes.sparsemax),
    "entmax15": bl.modes.Soft(bl.modes.entmax15),
    "annealed": bl.modes.Annealed(0.6),
    "concrete": bl.modes.Annealed(bl.schedules.linear(2.0, 0.5, steps=10), seed=5),
    "concrete-entmax15": bl.modes.Annealed(0.8, bl.modes.entmax15, seed=5),
}
Y_TRUE = tf.constant([[0.2, 1.0], [2.0, 3.0], [4.0, 0.5]], tf.float64)
Y_PRED = np.array([[0.3, 2.7], [1.2, 3.4], [1.4, 1.9]])  # away from every kink
LOGITS = np.array([0.1, -0.2, 0.05])
STEP, H = 4, 1e-6


def test_the_list_of_losses_is_complete():
    # AdaptiveBarron has two parameters of its own, and m_estimators is a function. The others read a loss of
    # theirs. All have files in tests/losses.
    elsewhere = {"Penalty", "AdaptiveBarron", "AddedLoss", "Columns", "OutputLoss", "m_estimators"}
    assert set(bl.losses.__all__) - elsewhere <= {type(loss).__name__ for loss in LOSSES.values()}


def blend_of(loss, mode, logits=LOGITS):
    losses = {"loss": LOSSES[loss], "other": bl.losses.SquaredError(2.0), "third": bl.losses.Cauchy()}
    return bl.Blend(losses, bl.gates.Learned(logits.tolist(), dtype="float64"), mode)


def finite_differences(function, at):
    result = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        shift = np.zeros_like(at)
        shift[place] = H
        result[place] = (function(at + shift) - function(at - shift)) / (2 * H)
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_in_predictions_and_logits(loss, mode):
    blend = blend_of(loss, MODES[mode])
    prediction, logits = tf.Variable(Y_PRED), blend.gate.logits

    def value_at(y_pred, given):
        logits.assign(given)
        return float(blend(Y_TRUE, tf.constant(y_pred), step=STEP))

    expected_in_y = finite_differences(lambda y_pred: value_at(y_pred, LOGITS), Y_PRED)
    expected_in_z = finite_differences(lambda given: value_at(Y_PRED, given), LOGITS)
    logits.assign(LOGITS)
    with tf.GradientTape() as tape:
        value = blend(Y_TRUE, prediction, step=STEP)
    in_y, in_z = tape.gradient(value, [prediction, logits.value])
    # Central differences in float64: error ~ |L| eps / h + h^2 |L'''| ~ 1e-9; keras works in float32 inside.
    tolerance = 1e-6 if loss == "keras" else 1e-8
    np.testing.assert_allclose(in_y, expected_in_y, rtol=0, atol=tolerance)
    np.testing.assert_allclose(in_z, expected_in_z, rtol=0, atol=tolerance)


HARD = {
    "straight-through": bl.modes.StraightThrough(),
    "straight-through-sparsemax": bl.modes.StraightThrough(bl.modes.sparsemax, temperature=2.0),
    "gumbel": bl.modes.GumbelStraightThrough(seed=3, temperature=0.7),
    "reinmax": bl.modes.ReinMax(seed=3),
}


@pytest.mark.parametrize("mode", HARD)
@pytest.mark.parametrize("loss", LOSSES)
def test_hard_gradients(loss, mode):
    """In predictions that of the chosen loss; in logits the estimator's, applied to the vector of losses."""
    blend = blend_of(loss, bl.modes.Hard(HARD[mode]))
    prediction, logits = tf.Variable(Y_PRED), blend.gate.logits.value
    with tf.GradientTape() as tape:
        output = blend.compute(Y_TRUE, prediction, step=STEP)
    in_y, in_z = tape.gradient(output.value, [prediction, logits])
    with tf.GradientTape() as tape:
        chosen = blend.compute(Y_TRUE, prediction, step=STEP).weights.numpy().argmax()
        alone = bl.Blend({"alone": list(blend.functions.values())[chosen]}, bl.gates.Fixed([1.0]))(Y_TRUE, prediction)
    np.testing.assert_allclose(in_y, tape.gradient(alone, prediction), rtol=1e-12, atol=1e-15)
    with tf.GradientTape() as tape:
        linear = tf.reduce_sum(HARD[mode](logits, STEP) * output.losses)
    np.testing.assert_allclose(in_z, tape.gradient(linear, logits), rtol=1e-12, atol=1e-15)
    assert np.any(in_z != 0)


@pytest.mark.parametrize("mode", ["softmax", "entmax15"])
@pytest.mark.parametrize("loss", [name for name in LOSSES if name not in ("keras",)])
def test_second_derivatives_in_predictions(loss, mode):
    """The gradient's own gradient, which look-ahead methods need."""
    blend = blend_of(loss, MODES[mode])
    direction = np.array([[1.0, -0.5], [0.3, 0.8], [-0.6, 0.2]])

    def slope_at(y_pred):
        prediction = tf.Variable(y_pred)
        with tf.GradientTape() as tape:
            value = blend(Y_TRUE, prediction, step=STEP)
        return tape.gradient(value, prediction)

    prediction = tf.Variable(Y_PRED)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = blend(Y_TRUE, prediction, step=STEP)
        along = tf.reduce_sum(inner.gradient(value, prediction) * direction)
    expected = (slope_at(Y_PRED + H * direction) - slope_at(Y_PRED - H * direction)) / (2 * H)
    np.testing.assert_allclose(outer.gradient(along, prediction), expected, rtol=0, atol=1e-8)
