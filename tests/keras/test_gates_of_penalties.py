"""Gates that need penalties, in a model: one trace, every regime, replicas, exact resume, mixed precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

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
    keras.utils.set_random_seed(0)
    losses = {
        "squared": bl.losses.SquaredError(),
        "absolute": bl.losses.AbsoluteError(),
        "cauchy": bl.losses.Cauchy(1.5),
    }
    network = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
    model = kind(network, bl.Blend(losses, GATES[gate](), MODES[mode]()))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.01), **named})
    return model


def fit(model, epochs=2, **named):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named).history


def assert_close(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)  # as for the other gates: eight steps of rounding


@every_mode
@every_gate
def test_one_trace_and_what_trains_moves(gate, mode):
    model = model_of(gate, mode, Counted)
    before = [variable.numpy() for variable in model.blend.trainable_variables]
    history = fit(model)
    fit(model)
    assert model.traces == 1
    assert np.isfinite(history["loss"]).all()
    assert ("cost" in history) == model.blend.gate.has_cost
    after = [variable.numpy() for variable in model.blend.trainable_variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


@every_gate
def test_compiled_is_the_same(gate):
    plain, compiled = model_of(gate), model_of(gate, jit_compile=True)
    fit(plain)
    fit(compiled)
    assert_close(plain, compiled)


@every_gate
def test_two_replicas_are_one_device(gate, replicas):
    one = model_of(gate)
    expected = fit(one)
    with replicas.scope():
        two = model_of(gate)
    found = fit(two)
    assert_close(one, two)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@every_mode
@every_gate
def test_resumes_bit_for_bit(gate, mode, tmp_path):
    straight, stopped = model_of(gate, mode, optimizer="adam"), model_of(gate, mode, optimizer="adam")
    fit(straight, epochs=2)
    fit(stopped, epochs=1)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    fit(resumed, epochs=2, initial_epoch=1)
    for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


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
