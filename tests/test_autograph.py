"""A `tf.function` traces the library as it is written: AutoGraph has nothing to rewrite, and takes seconds to do it."""

import keras
import pytest
import tensorflow as tf
from tensorflow.python.autograph.impl import api

import blendloss as bl

Y, P = tf.zeros([4, 2]), tf.ones([4, 2])
BLEND = bl.Blend(
    {"huber": bl.losses.Huber(), "mse": bl.losses.SquaredError()}, bl.gates.Learned(), bl.modes.Annealed(1.0)
)
COLUMN = bl.losses.Columns(bl.losses.Huber(), [0])
OUTPUT_LOSS = bl.losses.OutputLoss("a", "mse")
PENALTY, ADAPTIVE, SOFT = bl.losses.Huber(), bl.losses.AdaptiveBarron(), bl.modes.Soft()
LINEAR = bl.schedules.linear(0.0, 1.0, steps=10)
FIXED = bl.Blend({"huber": PENALTY, "mse": "mse"}, bl.gates.Fixed([1.0, 2.0]))
FIXED_AT = FIXED.as_keras_loss(1)
MODEL = bl.BlendedModel(
    keras.Sequential([keras.layers.Dense(2)]), bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Learned())
)
MODEL.compile("sgd")

CALLS = {
    "blend": lambda: BLEND(Y, P, step=1),
    "read": lambda: BLEND.compute(Y, P, step=1),
    "values": lambda: BLEND.values(Y, P),
    "residuals": lambda: BLEND.residuals(Y, P),
    "combine": lambda: BLEND.combine({"huber": 1.0, "mse": 2.0}, step=1),
    "compute_from_values": lambda: BLEND.compute_from_values({"huber": 1.0, "mse": 2.0}, step=1),
    "at": lambda: FIXED_AT(Y, P),
    "penalty": lambda: PENALTY(Y, P),
    "adaptive": lambda: ADAPTIVE(Y, P),
    "columns": lambda: COLUMN(Y, P),
    "output-loss": lambda: OUTPUT_LOSS({"a": Y}, {"a": P}),
    "mode": lambda: SOFT(tf.zeros([2])),
    "schedule": lambda: LINEAR(1),
    "train_step": lambda: MODEL.train_step((Y, Y)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_nothing_of_ours_is_rewritten(call, monkeypatch):
    rewritten = []
    convert = api._convert_actual

    def noting(entity, program_ctx):
        if not hasattr(entity, "__wrapped__"):  # the mark of an object's `__call__` is a function of TensorFlow's
            rewritten.append(f"{entity.__module__}.{entity.__qualname__}")
        return convert(entity, program_ctx)

    monkeypatch.setattr(api, "_convert_actual", noting)
    call()  # what is built once
    tf.function(lambda: call()).get_concrete_function()
    assert rewritten, "AutoGraph was not looked at"
    assert [name for name in rewritten if name.startswith("blendloss.")] == []


def test_a_users_branch_is_not_rewritten_as_in_keras():
    def branching(y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_pred - y_true), -1) if tf.reduce_sum(y_pred) > 0 else y_pred[:, 0]

    step = {"plain": branching, "traced": tf.function(branching)}
    blends = {name: bl.Blend({name: loss}, bl.gates.Fixed([1.0])) for name, loss in step.items()}
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        tf.function(lambda: blends["plain"](Y, P)).get_concrete_function()
    assert float(tf.function(lambda: blends["traced"](Y, P))()) == 1.0
