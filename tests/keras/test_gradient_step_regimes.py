"""A model trained by gates that look at the gradient of each loss, and at progress: every way of running it."""

from __future__ import annotations

import functools
import types

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
from tests.keras.models import SavedAfter, assert_same, evaluate_eagerly
from tests.keras.optimized_graphs import assert_reads_and_updates_are_ordered, optimized_graphs

every_gate = pytest.mark.parametrize("gate", GATES)


def pairwise():
    """A network in which two gradients meet in each layer: TensorFlow adds up three in an order of chance."""
    inputs = keras.Input([4])
    trunk = keras.layers.Dense(8, "tanh", name="trunk")(inputs)
    shared = keras.layers.Dense(6, "tanh", name="shared")(trunk)
    outputs = {"depth": keras.layers.Dense(1)(trunk), "normal": keras.layers.Dense(3)(shared)}
    return keras.Model(inputs, {**outputs, "label": keras.layers.Dense(5, "softmax")(shared)})


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


METRICS = {"depth": ["mae"], "label": ["accuracy"]}
VALIDATED = {"validation_data": (X, Y), "validation_batch_size": 32}


def regularized(gate, **named):
    return model_of(gate, lambda: network("l2"), **named)


def outcome(model, history, **named):
    """What a run gave, without the model."""
    return types.SimpleNamespace(history=history, weights=model.get_weights(), **named)


def assert_agrees(found, expected):
    """Weights and whatever both histories hold, which is all that is not validation's or a metric's."""
    for a, b in zip(expected.weights, found.weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)  # eight steps of rounding
    assert {name for name in expected.history if "/" in name and not name.startswith("val_")} < set(found.history)
    for name in found.history:
        np.testing.assert_allclose(found.history[name], expected.history[name], rtol=2e-5, atol=1e-6, err_msg=name)


def fitted_twice(model, fit):
    first = outcome(model, fit(model, **VALIDATED))
    again = fit(model)
    return types.SimpleNamespace(**vars(first), again=again["loss"], traces=model.traces, steps=int(model.step))


@pytest.fixture(scope="module")
def reference():
    """The run that all others of a gate are compared with; the same model is then fitted again."""
    return functools.cache(lambda gate: fitted_twice(regularized(gate, kind=Counted, metrics=METRICS), fit))


@pytest.fixture(scope="module")
def of_a_dataset():
    """The same of a dataset, and never by XLA."""

    def fit(model, **named):
        batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
        return model.fit(batches, epochs=2, shuffle=False, verbose=0, **named).history

    return functools.cache(
        lambda gate: fitted_twice(regularized(gate, kind=Counted, metrics=METRICS, jit_compile=False), fit)
    )


@pytest.fixture(scope="module")
def two_steps_at_once():
    """A run by loops over two steps, and the graphs that TensorFlow's optimizer made of it."""

    @functools.cache
    def run(gate):
        model = regularized(gate, metrics=METRICS, steps_per_execution=2)
        history = {}
        graphs = optimized_graphs(lambda: history.update(fit(model, **VALIDATED)))
        loops = [nodes for nodes in graphs if any(node.op == "NextIteration" for node in nodes.values())]
        return outcome(model, history, loops=loops)

    return run


@pytest.mark.parametrize("data", ["arrays", "dataset"])
@every_gate
def test_one_trace(gate, data, reference, of_a_dataset):
    run = {"arrays": reference, "dataset": of_a_dataset}[data](gate)
    assert run.traces == 1
    assert run.steps == 16
    assert np.isfinite(run.again).all()


@pytest.mark.parametrize(
    "named",
    [{"jit_compile": True}, {"jit_compile": False}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=str,
)
@every_gate
def test_every_way_of_running_gives_the_same(gate, named, reference, of_a_dataset, two_steps_at_once):
    if named == {"jit_compile": False}:
        found = of_a_dataset(gate)
    elif named == {"steps_per_execution": 2}:
        found = two_steps_at_once(gate)
    else:
        model = regularized(gate, metrics=METRICS, **named)
        found = outcome(model, fit(model, **VALIDATED))
    expected = reference(gate)
    assert set(expected.history) == set(found.history)
    assert_agrees(found, expected)


@every_gate
def test_the_order_of_reads_and_updates_survives_in_a_loop_over_steps(gate, two_steps_at_once):
    pairs = [assert_reads_and_updates_are_ordered(loop) for loop in two_steps_at_once(gate).loops]
    assert max(pairs) > 20


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@every_gate
def test_two_replicas_are_one_device(gate, reduction, reference, replicas):
    def model():
        summed = {"reduction": "sum", "optimizer": keras.optimizers.SGD(0.05 / 16)}
        return regularized(gate, **(summed if reduction == "sum" else {}))

    with replicas.scope():
        two = model()
    found = fit(two)
    # A loss summed over each replica's half is half of it, in what is logged of it, and after an update.
    if reduction == "mean":
        assert_agrees(outcome(two, found), reference(gate))
    elif gate != "progress":
        one = model()
        fit(one)
        assert_close(one.network, two.network)


@pytest.mark.parametrize(
    ("gate", "mode"), [*((gate, "soft") for gate in GATES), ("inverse", "annealed"), ("balanced", "hard")]
)
def test_resumes_bit_for_bit(gate, mode, tmp_path):
    modes = {
        "soft": bl.modes.Soft(),
        "annealed": bl.modes.Annealed(bl.schedules.exponential(3.0, 0.3, steps=20), seed=1),
        "hard": bl.modes.Hard(bl.modes.ReinMax(2)),
    }
    evaluated = []

    class Evaluated(SavedAfter):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch == 0:
                evaluated.append(evaluate_eagerly(self.model, X, Y))

    saved = Evaluated(1, tmp_path / "model.keras")
    straight = model_of(gate, pairwise, mode=modes[mode], optimizer="adam")
    history = fit(straight, epochs=3, callbacks=[saved])
    resumed = keras.models.load_model(saved.path)
    assert_same(saved.weights, resumed.get_weights())
    np.testing.assert_equal([evaluate_eagerly(resumed, X, Y)], evaluated)  # by the kept weights
    continued = fit(resumed, epochs=3, initial_epoch=1)
    assert_same(straight.get_weights(), resumed.get_weights())
    for name, values in continued.items():
        np.testing.assert_array_equal(values, history[name][1:], err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@every_gate
def test_mixed_precision(gate, policy, reference):
    expected = reference(gate).history
    keras.config.set_dtype_policy(policy)
    model = regularized(gate)
    history = fit(model)
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
    # gating_from_signed_weights in float32 rounds the weights by some units.
    np.testing.assert_allclose(trunk, before - 0.05 * step, rtol=0, atol=0.05 * 8 * 2.0**-23)
    assert trunk.dtype == "float64"
