"""A compiled step of a gate whose solver is a loop, under a persistent tape, which could differentiate the loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.models import GATES

X = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")


@pytest.mark.parametrize("name", ["upgrad", "fair-grad", "cagrad", "aligned-mtl", "pcgrad", "grad-vac"])
def test_a_compiled_step_of_a_gradient_gate(name):
    losses = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(0.5)}
    blend, w = bl.Blend(losses, GATES[name]()), tf.Variable(keras.ops.ones([2, 2]))

    def step(x):
        with tf.GradientTape(persistent=True) as tape:
            values = blend.values(tf.zeros_like(x), x @ w)
        return blend.gradients(tape, values, [w], step=tf.constant(0)).output.value

    slopes = []
    for compute in (step, tf.function(step, jit_compile=True)):
        x = tf.constant(X)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            value = compute(x)
        slopes.append(tape.gradient(value, x))
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-4, atol=1e-6)
