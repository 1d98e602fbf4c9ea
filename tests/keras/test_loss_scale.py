"""Under a loss scale no step is lost that the blended loss, in a pass of its own, would not lose.

64 rows x = 0.01, weights of 0, residuals of -1: what overflows float16's 65504 is known by hand.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import LossGradients
from tests.seeding import seed

SCALE = 2.0**15  # Keras's first
X, Y = np.full((64, 1), 0.01, "float32"), np.ones((64, 1), "float32")
REGIMES = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


@pytest.fixture(autouse=True)
def half_precision():
    keras.config.set_dtype_policy("mixed_float16")


# What is measured, and what the optimizer is given


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(
    ("weights", "scale", "expected"),
    [
        ([0.05, 0.5], SCALE, SCALE),  # each is 10 and 1 times the scale, of which the first overflows
        ([1.0, 1.0], SCALE, np.inf),  # 11 times the scale: the optimizer must hear of it
        ([0.05, 0.5], 2.0**40, np.inf),
        ([1.0, 1.0], 2.0**10, 11 * 2.0**10),
        ([1e-6, 1e-7], 2.0**30, 1.01e-5 * 2.0**30),
    ],
    ids=["fits", "too-large", "far-too-large", "no-overflow", "tiny-weights"],
)
def test_each_loss_is_measured_and_the_blended_one_overflows(weights, scale, expected, regime):
    variable = tf.Variable([1.0, 2.0])

    def run():
        with tf.GradientTape(persistent=True) as tape:
            total = tf.reduce_sum(tf.cast(tf.cast(variable, tf.float16), tf.float32))
            losses = [10 * total, total]
        gradients = LossGradients(tape, losses, [variable], scale=tf.constant(scale))
        return gradients.gram(), gradients.finite(), gradients.combined(tf.constant(weights))[0]

    gram, finite, combined = REGIMES[regime](run)()
    np.testing.assert_array_equal(gram, [[200.0, 20.0], [20.0, 2.0]])
    assert finite
    np.testing.assert_allclose(combined, [expected] * 2, rtol=2.0**-10)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_infinite_and_nan_losses_are_not_scaled_away(value):
    variable = tf.Variable(1.0)
    with tf.GradientTape(persistent=True) as tape:
        losses = [variable * value, 2 * variable]
    gradients = LossGradients(tape, losses, [variable], scale=tf.constant(SCALE))
    assert not gradients.finite()
    assert not np.isfinite(gradients.combined([1.0, 1.0])[0])
    # A loss with weight 0 cannot hurt.
    np.testing.assert_array_equal(gradients.combined([0.0, 1.0])[0], 2 * SCALE)


# In models


def model_of(gate, factor=100.0, **named):
    """Losses 100 r^2 and r^2. At Keras's first scale the first overflows alone: its slopes are 2 * 100 / 64 * 2^15."""
    seed()
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    losses = {"large": lambda y, p: factor * (p - y) ** 2, "small": lambda y, p: (p - y) ** 2}
    model = bl.BlendedModel(network, bl.Blend(losses, gate), **named)
    model.compile(keras.optimizers.SGD(0.01))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    return model


def steps(model, number=3):
    for _ in range(number):
        model.train_on_batch(X, Y)
    return int(model.step)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_upgrad_loses_no_step(jit_compile):
    """Parallel gradients: UPGrad weighs by 1/2, and 50.5 r^2 fits."""
    expected, found = model_of(bl.gates.Fixed([0.5, 0.5])), model_of(bl.gates.UPGrad())
    found.jit_compile = jit_compile
    assert steps(expected) == steps(found) == 3
    assert int(found.blend.gate.skipped) == 0
    np.testing.assert_allclose(found.get_weights()[0], expected.get_weights()[0], rtol=2.0**-8)
    assert float(found.optimizer.dynamic_scale) == SCALE


GATES = {
    "upgrad": lambda: bl.gates.UPGrad(),
    "pcgrad": lambda: bl.gates.PCGrad(seed=0),
    "mgda": lambda: bl.gates.MGDA(),
    "grad-norm": lambda: bl.gates.GradNorm(),
    "grad-drop": lambda: bl.gates.GradDrop(seed=0),
    "lr-annealing-every": lambda: bl.gates.LRAnnealing(every=2),
}


@pytest.mark.parametrize("gate", GATES)
def test_scale_that_is_too_large_is_lowered(gate):
    model = model_of(GATES[gate]())
    model.optimizer.initial_scale = 2.0**30
    assert 0 < steps(model, 30) < 30
    assert 2.0**8 < float(model.optimizer.dynamic_scale) < 2.0**26
    skipped = model.blend.gate.skipped
    assert skipped is None or int(skipped) == 0  # `GradDrop` keeps no weights, and so skips none
    assert np.isfinite(model.get_weights()[0]).all()


def test_held_out_target_loses_no_step():
    """A target of 1000 r^2 overflows at a scale at which the blended loss does not."""
    moved = []
    for factor in (1.0, 1000.0):
        rule = bl.keras.HeldOut(lambda y, p, factor=factor: factor * (p - y) ** 2, rate=0.01, batch_size=64)
        model = model_of(bl.gates.Learned(), factor=2.0, held_out=rule)
        model.set_held_out_data((X, Y))
        assert steps(model, 1) == 1
        moved.append(model.blend.gate.logits.numpy())
    np.testing.assert_allclose(moved[1], 1000 * moved[0], rtol=2.0**-8)
    assert moved[0][0] > 0
