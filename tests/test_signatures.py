"""Losses, relaxations and schedules are told from what is none when an object is made, not at its first use."""

import functools

import keras
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._internal.signatures import takes


class OfTwo(keras.Layer):
    def call(self, y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_true - y_pred), -1)


SCHEDULE = keras.optimizers.schedules.CosineDecay(1.0, 10)
NO_LOSSES = {
    "gate": bl.gates.Learned(),
    "schedule": bl.schedules.constant(1.0),
    "keras schedule": SCHEDULE,
    "mode": bl.modes.Soft(),
    "layer": keras.layers.Dense(1),
    "model": keras.Sequential([keras.layers.Dense(1)]),
    "class": bl.losses.Huber,
    "function of one": lambda y: y,
    "function of three": lambda x, y, z: x,
    "relaxation": bl.modes.softmax,
    "number": 1.0,
    "array": tf.zeros([2]),
}
LOSSES = {
    "function of two": lambda y, p: tf.abs(y - p),
    "function with a default": lambda y, p, weight=1.0: tf.abs(y - p),
    "function of any number": lambda *both: both[0],
    "partial": functools.partial(keras.losses.huber, delta=2.0),
    "keras function": keras.losses.mean_squared_error,
    "keras object": keras.losses.Huber(),
    "object with a call": OfTwo(),
    "loss that trains": bl.losses.AdaptiveBarron(),
    "name": "mse",
}


@pytest.mark.parametrize("wrong", [pytest.param(value, id=name) for name, value in NO_LOSSES.items()])
@pytest.mark.parametrize(
    "make",
    [
        lambda loss: bl.Blend({"loss": loss}, bl.gates.Fixed([1.0])),
        lambda loss: bl.losses.OutputLoss("output", loss),
        lambda loss: bl.losses.OutputLoss(("a", "b"), loss),
        lambda loss: bl.losses.Columns(loss, 0),
        bl.keras.HeldOut,
    ],
    ids=["blend", "output loss", "loss of several outputs", "columns", "held out"],
)
def test_wrong_losses_are_refused_by_the_constructor(make, wrong):
    with pytest.raises(TypeError, match="must be .*Received"):
        make(wrong)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses_of_every_kind_are_accepted(loss):
    assert bl.Blend({"loss": loss}, bl.gates.Fixed([1.0])).names == ("loss",)
    assert bl.losses.OutputLoss("output", loss).output == "output"


@pytest.mark.parametrize(
    "wrong",
    [SCHEDULE, int, bl.gates.Learned(), lambda: 1.0, lambda y, p: p, "softmax", 1.0],
    ids=["schedule", "class", "gate", "function of none", "function of two", "string", "number"],
)
@pytest.mark.parametrize("make", [bl.modes.Soft, bl.modes.StraightThrough], ids=["soft", "straight-through"])
def test_wrong_relaxations_are_refused_by_the_constructor(make, wrong):
    with pytest.raises(TypeError, match="`relaxation` must be a function from logits to the simplex"):
        make(wrong)


@pytest.mark.parametrize(
    "wrong",
    [float, bl.gates.Learned(), keras.layers.Dense(1), lambda: 1.0, lambda step, k: 1.0],
    ids=["class", "gate", "layer", "function of none", "function of two"],
)
@pytest.mark.parametrize("make", [bl.schedules.wrap, bl.gates.Scheduled, bl.modes.Annealed])
def test_wrong_schedules_are_refused_by_the_constructor(make, wrong):
    with pytest.raises(TypeError, match="must be a (schedule|function of the step).*Received"):
        make(wrong)


def test_functions_without_a_signature_are_accepted():
    assert takes(min, 2)
    assert takes(tf.nn.softmax, 1)
