"""What `gradients`, `combine`, `fit_gate` and their relations are given, wrongly."""

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

BLEND = bl.Blend(["a", "b"], gate=bl.gates.Fixed([1.0, 2.0]))


def gradients(**named):
    variable = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": variable**2, "b": variable * 1.0}
    return BLEND.gradients(**{"tape": tape, "values": values, "variables": [variable], **named})


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"tape": None}, TypeError, "`tape` must be a tf.GradientTape"),
        ({"values": 3.0}, TypeError, "`values` must be a dict"),
        ({"variables": [1.0]}, TypeError, "`variables` must be a list of variables"),
        ({"variables": 1.0}, TypeError, "`variables` must be a list of variables"),
        ({"scale": 0}, ValueError, "`scale` must be positive"),
        ({"scale": float("nan")}, ValueError, "`scale` must not be NaN"),
        ({"scale": [1.0, 2.0]}, ValueError, "`scale` must be a scalar"),
        ({"scale": tf.constant(0.0)}, tf.errors.InvalidArgumentError, "`scale` must be positive and finite"),
        ({"scale": tf.constant(np.nan)}, tf.errors.InvalidArgumentError, "`scale` must be positive and finite"),
    ],
    ids=str,
)
def test_gradients(named, error, message):
    with pytest.raises(error, match=message):
        gradients(**named)


def test_a_scale_multiplies_the_gradients():
    [plain], [scaled] = gradients().gradients, gradients(scale=4).gradients
    assert float(scaled) == 4 * float(plain)


def test_combine_says_what_values_are():
    with pytest.raises(TypeError, match="`values` must be a dict with a value for each of .*Received: values=3.0"):
        BLEND.combine(3.0)


@pytest.mark.parametrize("variables", [[1.0], 1.0, "all"], ids=str)
def test_fit_gate_says_what_variables_are(variables):
    blend = bl.Blend({"a": bl.losses.SquaredError()}, bl.gates.Uncertainty())
    with pytest.raises(TypeError, match="`variables` must be a list of variables"):
        bl.fit_gate(blend, [[0.0]], [[1.0]], variables=variables)


@pytest.mark.parametrize("training", ["no", 0, None, tf.constant(True)], ids=str)
def test_training_is_a_truth_value(training):
    for call in (bl.modes.Soft(), lambda logits, **named: BLEND.combine({"a": 1.0, "b": 2.0}, **named)):
        with pytest.raises(TypeError, match="`training` must be True or False"):
            call([0.0, 1.0], training=training)
