"""The model as Keras users train and evaluate it."""

import functools
import types

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.models import MODES, X, Y, blend_of, fit, model_of, network
from tests.seeding import seed


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.fixture(scope="module")
def fitted():
    """A run of a gate in a mode: what it gave."""

    @functools.cache
    def run(gate="scheduled", mode="soft"):
        model = model_of(gate, mode)
        history = fit(model)
        evaluated = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
        return types.SimpleNamespace(history=history, network=model.network.get_weights(), evaluated=evaluated)

    return run


# What history holds


def test_history_has_every_weight_and_every_loss(fitted):
    history = fitted().history
    for prefix in ("", "val_"):
        for name in ("mse", "huber", "mae"):
            assert len(history[f"{prefix}gate/{name}"]) == len(history[f"{prefix}loss/{name}"]) == 2
    # 4 steps an epoch, 20 steps for two losses' way: the weight of the last step of each epoch.
    np.testing.assert_allclose(history["gate/huber"], [0.3, 0.7], rtol=1e-6)
    np.testing.assert_allclose(history["val_gate/huber"], [0.4, 0.8], rtol=1e-6)


def test_loss_is_the_blend_of_what_history_holds(fitted):
    history = fitted("fixed").history
    blended = sum(
        w * np.array(history[f"loss/{name}"]) for w, name in zip([1, 2, 3], ("mse", "huber", "mae"), strict=True)
    )
    np.testing.assert_allclose(history["loss"], blended, rtol=1e-5)


def test_loss_that_was_never_evaluated_is_not_a_number():
    history = fit(model_of("scheduled", "hard"), validation_data=None)
    assert np.isfinite(history["loss/mse"]).all()
    assert np.isnan(history["loss/mae"]).all()


def test_nan_losses_stay_in_the_history():
    def broken(y_true, y_pred):
        return tf.reduce_mean(tf.math.log(y_pred - y_pred - 1), axis=-1)

    model = bl.BlendedModel(network(), bl.Blend({"mse": "mse", "broken": broken}, bl.gates.Fixed([1.0, 1.0])))
    model.compile("sgd")
    assert np.isnan(model.fit(X, Y, verbose=0).history["loss/broken"]).all()


def test_evaluate_gives_what_fit_gave(fitted):
    run = fitted()
    assert {f"val_{name}" for name in run.evaluated} == {name for name in run.history if name.startswith("val_")}
    for name, value in run.evaluated.items():
        np.testing.assert_allclose(value, run.history[f"val_{name}"][-1], rtol=1e-6)


# Training


@pytest.mark.parametrize("kind", ["frame", "series", "dict", "generator"])
def test_fit_takes_every_kind_of_data(kind):
    def generator():
        while True:
            yield X[:16], Y[:16]

    inputs = keras.Input([1 if kind == "series" else 4], name="x")
    model = bl.BlendedModel(
        keras.Model({"x": inputs} if kind == "dict" else inputs, keras.layers.Dense(1)(inputs)), blend_of()
    )
    model.compile("sgd", metrics=["mae"])
    data = {
        "frame": lambda: {"x": pd.DataFrame(X), "y": pd.Series(Y[:, 0])},
        "series": lambda: {"x": pd.Series(X[:, 0]), "y": pd.Series(Y[:, 0])},
        "dict": lambda: {"x": {"x": X}, "y": Y},
        "generator": lambda: {"x": generator(), "steps_per_epoch": 4, "shuffle": False},
    }[kind]()
    shuffle = {} if kind == "generator" else {"batch_size": 16}
    assert np.isfinite(model.fit(**data, **shuffle, verbose=0).history["loss"]).all()
    assert int(model.step) == 4


def test_fixed_blend_trains_as_keras_does(fitted):
    seed()
    plain = network()
    plain.compile("adam", loss=blend_of("fixed"))
    plain.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(fitted("fixed").network, plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def learned():
    """A learned gate of a mode, fitted twice: its logits after the first time, and the traces of both."""

    @functools.cache
    def run(mode):
        seed()
        model = Counted(network(), blend_of("learned", mode))
        model.compile(keras.optimizers.Adam(0.1), metrics=["mae"])
        assert any(variable is model.blend.gate.logits for variable in model.trainable_variables)
        fit(model, validation_data=None)
        logits = model.blend.gate.logits.numpy()
        fit(model, validation_data=None)
        return types.SimpleNamespace(logits=logits, traces=model.traces)

    return run


@pytest.mark.parametrize("mode", MODES)
def test_learned_gate_trains(mode, learned):
    assert np.abs(learned(mode).logits).min() > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", ["arrays", "dataset"])
def test_training_step_is_traced_once(mode, data, learned):
    if data == "arrays":
        assert learned(mode).traces == 1
        return
    model = Counted(network(), blend_of("learned", mode))
    model.compile("adam", metrics=["mae"])
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    for _ in range(2):
        model.fit(batches, epochs=2, verbose=0, shuffle=False)
    assert model.traces == 1


@pytest.mark.parametrize(
    "named",
    [
        {"jit_compile": True},
        {"steps_per_execution": 2},
        {"run_eagerly": True},
    ],
    ids=lambda named: next(iter(named)),
)
def test_every_way_of_running_gives_the_same(named, fitted):
    expected, found = fitted("quantile", "annealed").history, fit(model_of("quantile", "annealed", **named))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_train_on_batch():
    model = model_of()
    logs = [model.train_on_batch(X, Y, return_dict=True)["gate/huber"] for _ in range(3)]
    np.testing.assert_allclose(logs, [0.0, 0.1, 0.2], rtol=1e-5, atol=1e-7)


def test_steps_are_the_optimizers_updates_under_gradient_accumulation():
    model = model_of(optimizer=keras.optimizers.Adam(gradient_accumulation_steps=2))
    fit(model, validation_data=None)
    assert int(model.step) == 4  # 8 batches


def test_step_follows_the_iterations_of_a_custom_optimizer():
    class EverySecond(keras.optimizers.SGD):
        def apply(self, grads, trainable_variables=None):
            super().apply(grads, trainable_variables)
            self._iterations.assign_sub(self.calls % 2)
            self.calls += 1

        calls = 0

    model = model_of(optimizer=EverySecond(0.0))
    model.compile(model.optimizer, run_eagerly=True)
    fit(model, validation_data=None)
    assert int(model.step) == int(model.optimizer.iterations) == 4  # 8 batches


def test_a_network_that_does_not_train_makes_no_steps():
    model = model_of()
    model.network.trainable = False
    with pytest.warns(UserWarning, match="trainable"):
        fit(model, validation_data=None)
    assert int(model.step) == int(model.optimizer.iterations) == 0


def test_regularization_losses_are_added():
    def regularized():
        return keras.Sequential([keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1.0))])

    model = model_of("fixed", net=regularized)
    value = model.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    expected = float(model.blend(Y, model.predict(X, verbose=0))) + (model.network.get_weights()[0] ** 2).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = model_of("learned", "annealed")
    history = fit(model)
    assert np.isfinite(history["loss"]).all()
    assert model.blend.gate.logits.dtype == "float32"
    # A step whose scaled gradients overflow updates nothing, and is not counted.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert 0 < int(model.step) == int(optimizer.iterations) <= 8


def test_sample_weights():
    weights = np.linspace(0, 1, 64).astype("float32")
    model = model_of("fixed")
    value = model.evaluate(X, Y, sample_weight=weights, batch_size=64, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(value, model.blend(Y, model.predict(X, verbose=0), weights), rtol=1e-5)


# Mistakes


@pytest.mark.parametrize("named", [{"loss": "mse"}, {"loss_weights": [1.0]}])
def test_compile_refuses_a_loss(named):
    with pytest.raises(ValueError, match="is the blend's business"):
        bl.BlendedModel(network(), blend_of()).compile("adam", **named)


@pytest.mark.parametrize(("arguments", "message"), [((3, blend_of()), "`network`"), ((network(), "mse"), "`blend`")])
def test_wrong_arguments(arguments, message):
    with pytest.raises(TypeError, match=f"{message} must be a"):
        bl.BlendedModel(*arguments)


def test_blend_that_gives_no_scalar():
    blend = bl.Blend({"mse": "mse"}, bl.gates.Learned(), reduction="none")
    with pytest.raises(ValueError, match="must reduce to a scalar"):
        bl.BlendedModel(network(), blend)
