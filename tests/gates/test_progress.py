"""Gates that learn from what an update did: when they must observe it, alone and in a model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates import Needs
from tests.gates.values import blend_of, compute, named, state_of, train

GATES = {
    "famo": lambda **named: gates.FAMO(**named),
    "exp3": lambda **named: gates.Exp3(0.1, seed=0, **named),
    "exp3-s": lambda **named: gates.Exp3S(seed=0, **named),
}
every_gate = pytest.mark.parametrize("make", GATES.values(), ids=GATES)


# Observations


@every_gate
def test_a_training_step_without_an_observation_raises(make):
    losses = named([1.0, 2.0])
    for regime in (lambda f: f, tf.function):
        blend = blend_of(make(), 2)
        step = regime(lambda number, blend=blend: blend.compute_from_values(losses, step=number).value)
        assert np.isfinite(step(tf.constant(0)))
        with pytest.raises(tf.errors.InvalidArgumentError, match="`observe_progress` of the gate .* must be given"):
            step(tf.constant(1))
        blend.gate.observe_progress(losses)
        assert np.isfinite(step(tf.constant(1)))


@every_gate
def test_a_training_step_without_an_observation_is_nan_under_xla(make):
    blend = blend_of(make(), 2)
    step = tf.function(lambda number: blend.compute_from_values(named([1.0, 2.0]), step=number).value, jit_compile=True)
    assert np.isfinite(step(tf.constant(0)))
    assert np.isnan(step(tf.constant(1)))


@every_gate
def test_an_observation_without_a_training_step_raises(make):
    blend = blend_of(make(), 2)
    for regime in (lambda f: f, tf.function):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must follow a training step"):
            regime(blend.gate.observe_progress)(tf.constant([1.0, 2.0]))
    train(blend, [1.0, 2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must follow a training step"):
        blend.gate.observe_progress([1.0, 2.0])


@every_gate
def test_an_evaluation_between_step_and_observation_is_no_step(make):
    blend, again = blend_of(make(), 2), blend_of(make(), 2)
    for one in (blend, again):
        compute(one, [1.0, 2.0], step=3, training=True)
    compute(again, [7.0, 8.0])
    for one in (blend, again):
        one.gate.observe_progress([0.5, 1.5])
    for name, values in state_of(blend.gate).items():
        np.testing.assert_array_equal(values, state_of(again.gate)[name])


@every_gate
def test_the_next_batch_needs_no_observation_and_takes_none(make):
    gate = make(same_batch=False)
    assert Needs.PROGRESS not in gate.needs
    blend = blend_of(gate, 2)
    for step in range(3):
        compute(blend, [1.0, 2.0], step, training=True)
    with pytest.raises(TypeError, match="does not watch the losses after an update"):
        gate.observe_progress([1.0, 2.0])


@every_gate
def test_the_next_batch_and_the_same_one_learn_alike_where_the_losses_are(make):
    """Of a deterministic loss, the next step's is that after this step's update."""
    losses = np.exp(-np.outer(np.arange(12), [0.1, 0.3, 0.2])).astype(np.float32)
    told, untold = blend_of(make(), 3), blend_of(make(same_batch=False), 3)
    for step in range(11):
        first = train(told, losses[step], losses[step + 1], step)
        second = compute(untold, losses[step], step, training=True)
        np.testing.assert_array_equal(first.weights, second.weights)


@every_gate
def test_names_in_any_order(make):
    blend, again = blend_of(make(), 2), blend_of(make(), 2)
    for one in (blend, again):
        compute(one, [1.0, 2.0], training=True)
    blend.gate.observe_progress([0.9, 1.0])
    again.gate.observe_progress({"b": 1.0, "a": tf.constant(0.9)})
    for name, values in state_of(blend.gate).items():
        np.testing.assert_array_equal(values, state_of(again.gate)[name])


@every_gate
@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], 1.0, {"a": 1.0}, {"a": 1.0, "b": 2.0, "c": 3.0}], ids=str)
def test_an_observation_of_other_losses_is_refused(make, values):
    blend = blend_of(make(), 2)
    blend.compute_from_values(named([1.0, 2.0]), step=0)
    with pytest.raises(ValueError, match=r"`values` must .*\['a', 'b'\].*Received:"):
        blend.gate.observe_progress(values)
    blend.gate.observe_progress([0.9, 2.0])  # it still waits for its own


@every_gate
def test_a_gate_of_no_blend_says_so(make):
    with pytest.raises(ValueError, match="belongs to no blend yet"):
        make().observe_progress([1.0])


# In models


@every_gate
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_model_observes_progress_in_fit(make, jit_compile):
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    keras.utils.set_random_seed(0)
    blend = bl.Blend({"mse": "mse", "mae": "mae", "huber": "huber"}, make())
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
    model.compile(keras.optimizers.Adam(0.05), jit_compile=jit_compile)
    losses = model.fit(x, y, batch_size=4, epochs=8, verbose=0).history["loss/mse"]
    assert losses[-1] < 0.1 * losses[0]
    state = state_of(blend.gate)
    assert state["waiting"] == state["skipped"] == 0
    assert state.get("count", state.get("seen")) == 16 * 8


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_the_second_evaluation_of_a_batch_moves_no_running_statistic(jit_compile):
    random = np.random.default_rng(0)
    x = (3 + random.normal(size=(64, 2))).astype("float32")
    norm = keras.layers.BatchNormalization(momentum=0.75)
    network = keras.Sequential([norm, keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(1)])
    model = bl.BlendedModel(network, bl.Blend({"mse": "mse", "mae": "mae"}, gates.FAMO()))
    model.compile("sgd", jit_compile=jit_compile)
    model.fit(x, x[:, :1], batch_size=64, verbose=0)
    # Once: 0.25 of the mean; twice would be 0.4375. To float32's rounding of a sum of 64.
    np.testing.assert_allclose(norm.moving_mean, 0.25 * x.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["graph", "eager"])
def test_a_model_observes_the_losses_after_the_update(run_eagerly):
    x = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    model = bl.BlendedModel(
        keras.Sequential([keras.layers.Dense(1)]), bl.Blend({"mse": "mse", "mae": "mae"}, gates.FAMO())
    )
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly)
    told = tf.Variable([0.0, 0.0])
    gate: Any = model.blend.gate
    observe = gate.observe_progress

    def keep(values):
        told.assign(tf.stack([values["mse"], values["mae"]]))
        observe(values)

    gate.observe_progress = keep
    model.fit(x, x[:, :1], batch_size=16, verbose=0)
    after = model.blend.values(x[:, :1], model(x))
    np.testing.assert_allclose(told, [after["mse"], after["mae"]], rtol=1e-5)  # float32, fused otherwise
