"""Gates that need penalties, in a model: one trace, every regime, replicas, exact resume, mixed precision."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.models import SavedAfter, assert_same
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(64, 1))).astype("float32")

GATES = {
    "exponential-family": lambda: bl.gates.ExponentialFamily(scale=3.0, learn_scale=True),
    "mixture": lambda: bl.gates.Mixture([1.0, 2.0, 4.0]),
    "by-residual": lambda: bl.gates.ByResidual([1.0, 3.0], width=0.5),
    "likelihood": lambda: bl.gates.Learned(normalize="likelihood"),
}
MODES = {
    "soft": lambda: bl.modes.Soft(),
    "annealed": lambda: bl.modes.Annealed(bl.schedules.exponential(3.0, 0.3, steps=20), seed=1),
    "hard": lambda: bl.modes.Hard(),
}
every_gate = pytest.mark.parametrize("gate", GATES)
every_mode = pytest.mark.parametrize("mode", MODES)


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def model_of(gate, mode="soft", kind=bl.BlendedModel, **named):
    seed()
    losses = {
        "squared": bl.losses.SquaredError(),
        "absolute": bl.losses.AbsoluteError(),
        "cauchy": bl.losses.Cauchy(1.5),
    }
    network = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
    model = kind(network, bl.Blend(losses, GATES[gate](), MODES[mode]()))
    # Adam's state, with an epsilon that keeps it from magnifying the rounding of small gradients.
    model.compile(**{"optimizer": keras.optimizers.Adam(0.01, epsilon=1.0), **named})
    return model


def fit(model, epochs=2, **named):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named).history


def assert_close(expected, found):
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)  # as for the other gates: eight steps of rounding


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run of a gate and a mode that all others are compared with: what it gave, and itself saved half-way."""
    folder = tmp_path_factory.mktemp("straight")

    @functools.cache
    def run(gate, mode="soft"):
        model = model_of(gate, mode, Counted)
        before = [variable.numpy() for variable in model.blend.trainable_variables]
        saved = SavedAfter(1, folder / f"{gate}-{mode}.keras")
        history = fit(model, callbacks=[saved])
        weights = model.get_weights()
        moved = [(a != b.numpy()).any() for a, b in zip(before, model.blend.trainable_variables, strict=True)]
        fit(model, epochs=1)
        return types.SimpleNamespace(
            history=history,
            weights=weights,
            saved=saved,
            moved=moved,
            traces=model.traces,
            has_cost=model.blend.gate.has_cost,
        )

    return run


@every_mode
@every_gate
def test_one_trace_and_what_trains_moves(gate, mode, straight):
    run = straight(gate, mode)
    assert run.traces == 1
    assert np.isfinite(run.history["loss"]).all()
    assert ("cost" in run.history) == run.has_cost
    assert all(run.moved)


@every_gate
def test_xla_gives_the_same(gate, straight):
    compiled = model_of(gate, jit_compile=True)
    fit(compiled)
    assert_close(straight(gate).weights, compiled.get_weights())


@every_gate
def test_two_replicas_are_one_device(gate, straight, replicas):
    expected = straight(gate)
    with replicas.scope():
        two = model_of(gate)
    found = fit(two)
    assert_close(expected.weights, two.get_weights())
    assert set(found) == set(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, atol=1e-6, err_msg=name)


@every_mode
@every_gate
def test_resumes_bit_for_bit(gate, mode, straight):
    expected = straight(gate, mode)
    resumed = keras.models.load_model(expected.saved.path, custom_objects={"Counted": Counted})
    assert_same(expected.saved.weights, resumed.get_weights())
    continued = fit(resumed, initial_epoch=1)
    assert_same(expected.weights, resumed.get_weights())
    for name, values in continued.items():
        np.testing.assert_array_equal(values, expected.history[name][1:], err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@every_gate
def test_mixed_precision(gate, policy):
    keras.config.set_dtype_policy(policy)
    model = model_of(gate)
    assert np.isfinite(fit(model)["loss"]).all()
    assert all(variable.dtype == "float32" for variable in model.blend.trainable_variables)


@every_gate
def test_float64_predictions_of_a_float32_gate(gate):
    blend = model_of(gate).blend
    double, single = (blend(Y.astype(t), X[:, :1].astype(t), step=0) for t in ("float64", "float32"))
    assert double.dtype == tf.float64
    np.testing.assert_allclose(double, single, rtol=1e-6)
