"""A model trained by gates that look at the gradient of each loss, and at progress: every way of running it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.gradient_models import (
    GATES,
    LOSSES,
    X,
    Y,
    assert_close,
    fit,
    gradients_by_hand,
    model_of,
    network,
)
from tests.keras.optimized_graphs import assert_reads_and_updates_are_ordered, optimized_graphs

every_gate = pytest.mark.parametrize("gate", GATES)


def pairwise():
    """A network in which two gradients meet in each layer: TensorFlow adds up three in an order of chance."""
    inputs = keras.Input([4])
    trunk = keras.layers.Dense(8, "tanh", name="trunk")(inputs)
    shared = keras.layers.Dense(6, "tanh", name="shared")(trunk)
    outputs = {"depth": keras.layers.Dense(1)(trunk), "normal": keras.layers.Dense(3)(shared)}
    return keras.Model(inputs, {**outputs, "label": keras.layers.Dense(5, "softmax")(shared)})


def assert_same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.mark.parametrize("data", ["arrays", "dataset"])
@every_gate
def test_one_trace(gate, data):
    model = model_of(gate, kind=Counted, metrics={"depth": ["mae"], "label": ["accuracy"]})
    for _ in range(2):
        if data == "arrays":
            history = fit(model)
        else:
            batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
            history = model.fit(batches, epochs=2, shuffle=False, verbose=0).history
    assert model.traces == 1
    assert int(model.step) == 16
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "named",
    [{"jit_compile": True}, {"jit_compile": False}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=str,
)
@every_gate
def test_every_way_of_running_gives_the_same(gate, named):
    reference, other = model_of(gate), model_of(gate, **named)
    expected, found = fit(reference, validation_data=(X, Y)), fit(other, validation_data=(X, Y))
    assert_close(reference, other)
    assert set(expected) == set(found)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@every_gate
def test_the_order_of_reads_and_updates_survives_in_a_loop_over_steps(gate):
    model = model_of(gate, steps_per_execution=2)
    graphs = optimized_graphs(lambda: fit(model, epochs=1))
    (loop,) = (nodes for nodes in graphs if any(node.op == "NextIteration" for node in nodes.values()))
    assert assert_reads_and_updates_are_ordered(loop) > 20


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@every_gate
def test_two_replicas_are_one_device(gate, reduction, replicas):
    optimizer = {"mean": 0.05, "sum": 0.05 / 16}[reduction]
    net = lambda: network("l2")  # noqa: E731
    one = model_of(gate, net, reduction=reduction, optimizer=keras.optimizers.SGD(optimizer))
    expected = fit(one)
    with replicas.scope():
        two = model_of(gate, net, reduction=reduction, optimizer=keras.optimizers.SGD(optimizer))
    found = fit(two)
    # A loss summed over each replica's half is half of it, in what is logged of it, and after an update.
    if reduction == "sum":
        if gate != "progress":
            assert_close(one.network, two.network)
        return
    assert_close(one, two)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("gate", "mode"), [*((gate, "soft") for gate in GATES), ("inverse", "annealed"), ("balanced", "hard")]
)
def test_resumes_bit_for_bit(gate, mode, tmp_path):
    modes = {
        "soft": bl.modes.Soft(),
        "annealed": bl.modes.Annealed(bl.schedules.exponential(3.0, 0.3, steps=20), seed=1),
        "hard": bl.modes.Hard(bl.modes.ReinMax(2)),
    }
    straight, stopped = (model_of(gate, pairwise, mode=modes[mode], optimizer="adam") for _ in range(2))
    history = fit(straight, epochs=3)
    fit(stopped, epochs=1)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert_same(stopped, resumed)
    np.testing.assert_array_equal(
        resumed.evaluate(X, Y, verbose=0), stopped.evaluate(X, Y, verbose=0)
    )  # by the kept weights
    continued = fit(resumed, epochs=3, initial_epoch=1)
    assert_same(straight, resumed)
    for name, values in continued.items():
        np.testing.assert_array_equal(values, history[name][1:], err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@every_gate
def test_mixed_precision(gate, policy):
    single = model_of(gate)
    keras.config.set_dtype_policy(policy)
    model = model_of(gate)
    history, expected = fit(model), fit(single)
    assert np.isfinite(history["loss"]).all()
    for name in LOSSES:
        # Half the digits; bfloat16 has 8 bits. Steps that overflow at first are skipped.
        np.testing.assert_allclose(history[f"gate/{name}"], expected[f"gate/{name}"], rtol=0.1)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert 0 < int(model.step) == int(optimizer.iterations) <= 8
    assert all(variable.dtype == "float32" for variable in model.blend.gate.variables if "float" in variable.dtype)


def test_a_scale_that_overflows_is_lowered():
    """Weights of 1 / (1 + inf) = 0 would hide it from the optimizer; each loss is measured all the same."""
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**30)
    model = model_of("inverse", optimizer=optimizer)
    fit(model, epochs=8)
    assert float(optimizer.dynamic_scale) < 2.0**30
    assert int(model.blend.gate.skipped) == 0
    assert 0 < int(model.step) < 32
    assert np.isfinite(np.concatenate([weights.ravel() for weights in model.get_weights()])).all()


def test_float64():
    keras.config.set_dtype_policy("float64")
    model = model_of("inverse", lambda: network("l2"))
    trunk = model.network.trainable_variables[0]
    before = trunk.numpy()
    _, gradients = gradients_by_hand(model, X.astype("float64"))
    norms = [np.linalg.norm(np.concatenate([np.ravel(g) for g in row[:4]])) for row in gradients]
    model.train_on_batch(X.astype("float64"), Y)
    weights = np.float32(1 / (1 + np.array(norms))).astype("float64")  # the gate's own dtype
    step = sum(w * row[0].numpy() for w, row in zip(weights, gradients, strict=True)) + 2 * 0.01 * before
    # of_signed_weights in float32 rounds the weights by some units.
    np.testing.assert_allclose(trunk, before - 0.05 * step, rtol=0, atol=0.05 * 8 * 2.0**-23)
    assert trunk.dtype == "float64"
