"""Custom gradients: freed with their graph, and there as long as the graph is."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

import blendloss as bl

LOSSES = {"huber": bl.losses.Huber(0.5), "mae": bl.losses.AbsoluteError(), "fair": bl.losses.Fair()}
X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X[:, :1] - 1


def registered():
    """The names of the custom gradients that TensorFlow's registry holds."""
    gc.collect()
    return {name for name in ops.gradient_registry.list() if name.startswith("CustomGradient-")}


def model(gate=None, mode=None, losses=LOSSES, **named):
    blend = bl.Blend(losses, gate or bl.gates.Learned(), mode or bl.modes.Soft())
    return bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend, **named)


def fitted(blended, optimizer="adam", fit=(), **named):
    blended.compile(optimizer, **named)
    return blended.fit(X, Y, batch_size=16, verbose=0, **dict(fit)).model


def half_precision(_):
    keras.config.set_dtype_policy("mixed_float16")
    return fitted(model())


def replicated(strategy):
    with strategy.scope():
        return fitted(model())


def loop(_):
    blend, weight = bl.Blend(LOSSES, bl.gates.Learned(), bl.modes.Hard(bl.modes.ReinMax(0))), tf.Variable([[1.0]])

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = blend(y, x @ weight, step=tf.constant(0))
        return tape.gradient(value, [weight, *blend.trainable_variables])

    step(X[:, :1], Y)
    return step


WAYS = [
    pytest.param(lambda _: fitted(model()), id="fit"),
    pytest.param(lambda _: fitted(model(), steps_per_execution=2), id="two-steps-a-call"),
    pytest.param(half_precision, id="mixed-float16"),
    pytest.param(replicated, id="replicas"),
    pytest.param(lambda _: fitted(model(bl.gates.UPGrad())), id="gradient-gate"),
    pytest.param(lambda _: fitted(model(losses={"barron": bl.losses.AdaptiveBarron()})), id="adaptive"),
    pytest.param(
        lambda _: fitted(model(held_out=bl.keras.HeldOut("mae")), fit={"held_out_data": (X[:8], Y[:8])}), id="held-out"
    ),
    pytest.param(loop, id="loop"),
]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_stays_registered(way, replicas):
    way(replicas)  # what is made once, by Keras or by us
    before = registered()
    alive = way(replicas)
    assert registered() > before
    del alive
    assert registered() == before


def blended(x):
    return bl.Blend(LOSSES, bl.gates.Fixed([1.0, 2.0, 3.0]))(tf.zeros_like(x), x)


def in_while(x):
    return tf.while_loop(lambda i, _: i < 2, lambda i, value: (i + 1, value * blended(x)), [0, tf.ones([])])[1]


def in_cond(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: blended(x), lambda: blended(2 * x))


# XLA takes no second gradient of a loop or a branch, and TensorFlow neither forward mode nor a saved gradient.
@pytest.mark.parametrize(("function", "jit"), [(blended, False), (blended, True), (in_while, False), (in_cond, False)])
def test_gradients_outlive_a_collection(function, jit):
    """The gradient of a traced function is looked up in the registry when it is first asked for."""
    x = tf.constant([[1.0], [0.25], [-0.5]])
    traced = tf.function(function, jit_compile=jit)
    traced(x)
    gc.collect()
    for compute in (function, traced):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = compute(x)
            slope = tape.gradient(value, x)
        found = [value, slope, outer.gradient(slope, x)]
        if compute is function:
            expected = found
    for one, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-6)


def test_forward_mode_through_a_traced_function():
    x = tf.constant([[1.0], [0.25], [-0.5]])
    traced = tf.function(blended)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = traced(x)
    with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
        along = accumulator.jvp(traced(x))
    np.testing.assert_allclose(along, tf.reduce_sum(tape.gradient(value, x)), rtol=1e-6)


def test_gradients_are_saved_with_a_module(tmp_path):
    x = tf.constant([[1.0], [0.25], [-0.5]])
    module = tf.Module()
    module.compute = tf.function(blended, input_signature=[tf.TensorSpec([None, 1])])
    tf.saved_model.save(module, str(tmp_path))
    del module
    gc.collect()
    slopes = []
    for compute in (blended, tf.saved_model.load(str(tmp_path)).compute):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = compute(x)
        slopes.append(tape.gradient(value, x))
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-6)
