"""What a blend refuses."""

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.blend.instances import LOSSES, WEIGHTS, Y_PRED, Y_TRUE, PerExample, fixed


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ({}, ValueError, "`losses` must not be empty"),
        ([], ValueError, "`losses` must not be empty"),
        (["a", "a"], ValueError, "`losses` must have different names"),
        ({"": "mse"}, ValueError, "`losses` must not have an empty name"),
        ({1: "mse"}, TypeError, "`losses` must have strings as names. Received: 1"),
        ({"a": None}, TypeError, "`losses` must not contain None"),
        ({"a": 3}, TypeError, "a"),
        ({"a": fixed()}, TypeError, "`losses` must not contain a blend"),
        ({"a": "no such loss"}, ValueError, "no such loss"),
        ("mse", TypeError, "`losses` must be a dict of losses or a list of names"),
    ],
)
def test_wrong_losses(losses, error, message):
    with pytest.raises(error, match=message):
        bl.Blend(losses, bl.gates.Learned())


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"gate": "soft"}, TypeError, "`gate` must be a Gate"),
        ({"gate": bl.gates.Learned}, TypeError, "`gate` must be a Gate"),
        ({"mode": "soft"}, TypeError, "`mode` must be a Mode"),
        ({"mode": bl.modes.Soft}, TypeError, "`mode` must be a Mode"),
        ({"reduction": "average"}, ValueError, "`reduction` must be one of"),
        ({"gate": bl.gates.Fixed([1.0])}, ValueError, "`weights` must have one weight for each of the 3 losses"),
    ],
)
def test_wrong_arguments(named, error, message):
    with pytest.raises(error, match=message):
        bl.Blend(**{"losses": LOSSES, "gate": bl.gates.Fixed(WEIGHTS), **named})


def test_gate_of_the_wrong_width_raises():
    with pytest.raises(ValueError, match=r"must give logits of shape \[K\] or \[batch, K\] with K = 3"):
        bl.Blend(LOSSES, PerExample([0.0, 0.0]))(Y_TRUE, Y_PRED)


@pytest.mark.parametrize("wrong", [1j, True, "a"], ids=repr)
def test_predictions_that_are_no_real_numbers_are_refused(wrong):
    with pytest.raises(TypeError, match="must be real numbers"):
        fixed()([[0.0]], tf.constant([[wrong]]))


def test_integer_targets_are_cast_as_in_keras():
    blend = bl.Blend({"own": lambda y, p: tf.reduce_mean(tf.square(y - p), axis=-1)}, bl.gates.Fixed([1.0]))
    assert float(blend(np.array([[1], [3]]), np.array([[2.0], [5.0]], "float32"))) == 2.5


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match="`y_true` and `y_pred` must have the same shape"):
        bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))(Y_TRUE[:, :1], Y_PRED)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("mode", [bl.modes.Soft(), bl.modes.Hard()], ids=["soft", "hard"])
@pytest.mark.parametrize(
    "shapes",
    [([4], [1]), ([1], [4]), ([0], [1]), ([3, 1], [3, 2]), ([3, 2], [3, 1]), ([2, 3], [3, 2]), ([1, 6], [2, 3])],
    ids=str,
)
def test_lengths_known_only_at_run_time_are_not_broadcast_either(shapes, mode, compiled):
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber()}, bl.gates.Fixed([2.0, 1.0]), mode)
    unknown = tf.TensorSpec([None] * len(shapes[0]))

    @tf.function(input_signature=[unknown, unknown], jit_compile=compiled)
    def with_gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = blend(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    value, gradient = with_gradient(tf.zeros(shapes[1]), tf.ones(shapes[1]))
    assert float(value) > 0
    assert gradient.shape == shapes[1]
    with pytest.raises(tf.errors.InvalidArgumentError):
        with_gradient(*map(tf.zeros, shapes))


@pytest.mark.parametrize("y_pred", [{"a": [1.0], "b": [1.0]}, [tf.ones([2]), tf.ones([2])]], ids=["dict", "list"])
def test_several_outputs_are_refused(y_pred):
    with pytest.raises(TypeError, match="`y_pred` must be one tensor"):
        fixed()(Y_TRUE, y_pred)
