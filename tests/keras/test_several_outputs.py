"""Models of several outputs in everything that Keras users do with one: losses of one output, gates of every kind."""

from __future__ import annotations

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import GradientGate
from blendloss.losses import OutputLoss
from tests.keras.models import SavedAfter, assert_same
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = {
    "depth": RNG.normal(size=(64, 1)).astype("float32"),
    "map": RNG.normal(size=(64, 5, 2)).astype("float32"),
    "label": RNG.integers(0, 3, size=64),
}
SAMPLE = {name: np.linspace(0, 2, 64).astype("float32") ** power for power, name in enumerate(Y)}
LOSSES = {"depth": bl.losses.Huber(), "map": "mae", "label": "sparse_categorical_crossentropy"}
METRICS = {"depth": ["mae"], "label": ["accuracy"]}


@keras.saving.register_keras_serializable(package="tests.several_outputs")
class Inverse(GradientGate):
    """g_k = 1 / (1 + |G_k|)."""

    def weigh(self, gradients, context):
        return 1 / (1 + gradients.norms())


GATES = {
    "fixed": lambda: bl.gates.Fixed([1.0, 2.0, 0.5]),
    "scheduled": lambda: bl.gates.Scheduled(bl.schedules.linear(0.0, 2.0, steps=8)),
    "learned-running": lambda: bl.gates.Learned(normalize="running"),
    "uncertainty": lambda: bl.gates.Uncertainty(initial=1.0),
    "bayesian": lambda: bl.gates.Bayesian(bl.gates.families.Dirichlet(), examples=64, seed=0),
    "network": lambda: bl.gates.Network(
        keras.Sequential([keras.Input([4]), keras.layers.Dense(3, kernel_regularizer="l2")])
    ),
    "inverse": lambda: Inverse(),
}
every_gate = pytest.mark.parametrize("gate", GATES)
# A constant, weights by example with regularizers, a cost of each example, gradients.
some_gates = pytest.mark.parametrize("gate", ["fixed", "network", "uncertainty", "inverse"])


def network(kind="dict"):
    inputs = keras.Input([4])
    # Two gradients meet in each layer: TensorFlow adds up three in an order of chance.
    lower = keras.layers.Dense(8, "tanh")(inputs)
    trunk = keras.layers.Dense(8, "tanh")(lower)
    outputs = {
        "depth": keras.layers.Dense(1, name="depth")(lower),
        "map": keras.layers.Reshape([5, 2], name="map")(keras.layers.Dense(10)(trunk)),
        "label": keras.layers.Dense(3, "softmax", dtype="float32", name="label")(trunk),
    }
    return keras.Model(inputs, outputs if kind == "dict" else list(outputs.values()))


def blend_of(gate="fixed", kind="dict"):
    keys = LOSSES if kind == "dict" else range(3)
    losses = {name: OutputLoss(key, loss) for key, (name, loss) in zip(keys, LOSSES.items(), strict=True)}
    return bl.Blend(losses, GATES[gate]())


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def model_of(gate="fixed", kind="dict", cls=bl.BlendedModel, **named):
    seed()
    model = cls(network(kind), blend_of(gate, kind))
    metrics = METRICS if kind == "dict" else [["mae"], [], ["accuracy"]]
    # Adam's state, with an epsilon that keeps it from magnifying the rounding of small gradients.
    model.compile(**{"optimizer": keras.optimizers.Adam(0.05, epsilon=1.0), "metrics": metrics, **named})
    return model


def of_kind(kind, tree):
    return tree if kind == "dict" else list(tree.values())


def fit(model, kind="dict", epochs=2, **named):
    data = {"batch_size": 16, "shuffle": False, "verbose": 0, **named}
    return model.fit(X, of_kind(kind, Y), epochs=epochs, **data).history


def assert_close(expected, found):
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)  # eight steps of rounding


def assert_agrees(expected, model, history):
    """The weights, and all of the history but validation's."""
    assert_close(expected.weights, model.get_weights())
    assert set(history) == {name for name in expected.history if not name.startswith("val_")}
    for name in history:
        np.testing.assert_allclose(history[name], expected.history[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that others are compared with, saved after an epoch; of one with weights, evaluation too."""
    folder = tmp_path_factory.mktemp("straight")

    @functools.cache
    def run(gate, kind="dict", weighted=False):
        model = model_of(gate, kind)
        saved = SavedAfter(1, folder / f"{gate}-{kind}-{weighted}.keras")
        weights = of_kind(kind, SAMPLE) if weighted else None
        of_validation = {"validation_data": (X, of_kind(kind, Y), weights)} if weighted else {}
        history = fit(model, kind, sample_weight=weights, callbacks=[saved], **of_validation)
        made = types.SimpleNamespace(history=history, weights=model.get_weights(), saved=saved)
        made.has_cost, made.losses = model.blend.gate.has_cost, model.blend.get_config()["losses"]
        if weighted:
            named = {"sample_weight": weights, "batch_size": 16, "verbose": 0, "return_dict": True}
            made.evaluated = model.evaluate(X, of_kind(kind, Y), **named)
        return made

    return run


# What history holds


@pytest.mark.parametrize(
    ("gate", "kind"), [*((gate, "dict") for gate in GATES), ("fixed", "list"), ("inverse", "list")]
)
def test_history_has_every_weight_loss_and_metric(gate, kind, straight):
    run = straight(gate, kind, weighted=True)
    expected = {f"{part}/{name}" for part in ("gate", "loss") for name in LOSSES} | {"loss"}
    expected |= {"depth_mae", "label_accuracy"}  # of a list, by the names of its layers
    expected |= {"cost"} if run.has_cost else set()
    assert set(run.history) == expected | {f"val_{name}" for name in expected}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in run.history.values())
    for name, value in run.evaluated.items():
        np.testing.assert_allclose(value, run.history[f"val_{name}"][-1], rtol=1e-6, err_msg=name)


@some_gates
def test_a_dict_and_a_list_of_outputs_are_the_same(gate, straight):
    expected, found = straight(gate), straight(gate, "list")
    assert_close(expected.weights, found.weights)
    for name in LOSSES:
        np.testing.assert_allclose(expected.history[f"gate/{name}"], found.history[f"gate/{name}"], rtol=1e-5)


def test_the_fixed_blend_is_keras_with_loss_weights():
    sample = {**SAMPLE, "map": SAMPLE["map"][:, np.newaxis]}  # a column, which Keras's own losses of maps need
    ours = model_of("fixed", optimizer=keras.optimizers.SGD(0.05))
    history = fit(ours, sample_weight=sample)
    seed()
    plain = network()
    losses = {**LOSSES, "depth": keras.losses.Huber(), "label": keras.losses.SparseCategoricalCrossentropy()}
    plain.compile(keras.optimizers.SGD(0.05), loss=losses, loss_weights=dict(zip(Y, [1.0, 2.0, 0.5], strict=True)))
    expected = plain.fit(X, Y, sample_weight=sample, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert_close(plain.get_weights(), ours.network.get_weights())
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)


def test_logged_losses_equal_the_blends_output():
    model = model_of("fixed")
    logs = model.evaluate(X, Y, sample_weight=SAMPLE, batch_size=64, verbose=0, return_dict=True)
    output = model.blend.compute(Y, model.predict(X, verbose=0), SAMPLE)
    np.testing.assert_allclose([logs[f"loss/{name}"] for name in LOSSES], output.losses, rtol=1e-6)
    np.testing.assert_allclose(logs["loss"], output.value, rtol=1e-6)


# Every way of running it


@pytest.mark.parametrize("data", ["arrays", "dataset", "weighted-dataset"])
@pytest.mark.parametrize("gate", ["uncertainty", "network", "inverse"])
def test_one_trace(gate, data):
    model = model_of(gate, cls=Counted)
    given = (X, Y, SAMPLE) if data == "weighted-dataset" else (X, Y)
    for _ in range(2):
        if data == "arrays":
            fit(model, validation_data=(X, Y))
        else:
            batches = tf.data.Dataset.from_tensor_slices(given).batch(16)
            model.fit(batches, epochs=2, verbose=0, shuffle=False, validation_data=batches)
    assert model.traces == 1
    assert int(model.step) == 16


@pytest.mark.parametrize("named", [{"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}], ids=str)
@some_gates
def test_every_way_of_running_gives_the_same(gate, named, straight):
    model = model_of(gate, **named)
    assert_agrees(straight(gate, weighted=True), model, fit(model, sample_weight=SAMPLE))


@pytest.mark.parametrize("weighted", [False, True])
@some_gates
def test_two_replicas_are_one_device(gate, weighted, straight, replicas):
    with replicas.scope():
        model = model_of(gate)
    history = fit(model, sample_weight=SAMPLE if weighted else None)
    assert_agrees(straight(gate, weighted=weighted), model, history)


@pytest.mark.parametrize(("gate", "kind"), [*((gate, "dict") for gate in GATES), ("inverse", "list")])
def test_resumes_bit_for_bit(gate, kind, straight):
    run = straight(gate, kind)
    resumed = keras.models.load_model(run.saved.path)
    assert resumed.blend.get_config()["losses"] == run.losses
    assert_same(run.saved.weights, resumed.get_weights())
    continued = fit(resumed, kind, initial_epoch=1)
    assert_same(run.weights, resumed.get_weights())
    for name, values in continued.items():
        np.testing.assert_array_equal(values, run.history[name][1:], err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@some_gates
def test_mixed_precision(gate, policy):
    keras.config.set_dtype_policy(policy)
    model = model_of(gate)
    assert np.isfinite(fit(model)["loss"]).all()
    assert 0 < int(model.step) <= 8


# Networks and targets of other forms


@keras.saving.register_keras_serializable(package="tests.several_outputs")
class Pendulum(keras.Model):
    """u(t), and how far it is from u'' = -u: an output that no data come with."""

    def __init__(self, **named):
        super().__init__(**named)
        self.hidden, self.out = keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)

    def build(self, shape):
        self.hidden.build(shape)
        self.out.build((None, 16))
        self.built = True

    def call(self, t):
        def value(t):
            return self.out(self.hidden(t))

        with tf.GradientTape() as outer:
            outer.watch(t)
            with tf.GradientTape() as inner:
                inner.watch(t)
                u = value(t)
            slope = inner.gradient(u, t)
        start = tf.zeros([1, 1], t.dtype)
        return {"equation": outer.gradient(slope, t) + u, "start": value(start) - 1.0}


def physics(gate, **named):
    seed()
    losses = {
        "equation": OutputLoss("equation", bl.losses.SquaredError(), target=0.0),
        "start": OutputLoss("start", bl.losses.SquaredError(), target=0.0),
    }
    model = bl.BlendedModel(Pendulum(), bl.Blend(losses, gate))
    model.compile(keras.optimizers.Adam(0.01), **named)
    return model


TIMES = np.linspace(0, 2, 32, dtype="float32")[:, np.newaxis]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("gate", [Inverse, lambda: bl.gates.Fixed([1.0, 10.0])], ids=["inverse", "fixed"])
def test_no_targets(gate, jit_compile):
    model = physics(gate(), jit_compile=jit_compile)
    history = model.fit(TIMES, epochs=30, batch_size=32, verbose=0, shuffle=False).history
    assert history["loss/start"][-1] < history["loss/start"][0]
    assert history["loss/equation"][-1] < 1
    assert int(model.step) == 30
    batches = tf.data.Dataset.from_tensor_slices(TIMES).batch(16)
    model.fit(batches, verbose=0, shuffle=False, validation_data=batches)
    value = model.evaluate(TIMES, batch_size=32, verbose=0, return_dict=True)["loss"]
    weights = [1.0, 10.0] if isinstance(model.blend.gate, bl.gates.Fixed) else np.array(model.blend.gate.last)
    outputs = model.predict_on_batch(TIMES)
    parts = [(outputs["equation"] ** 2).mean(), (outputs["start"] ** 2).mean()]
    np.testing.assert_allclose(value, np.dot(weights, parts), rtol=1e-5)


def test_targets_of_other_names():
    losses = {
        "fine": OutputLoss("depth", "mse", target="truth"),
        "label": OutputLoss("label", "sparse_categorical_crossentropy", target="class"),
        "flat": OutputLoss("map", bl.losses.AbsoluteError(), target=0.0),
    }
    model = bl.BlendedModel(network(), bl.Blend(losses, bl.gates.Learned()))
    model.compile("sgd")
    history = model.fit(X, {"truth": Y["depth"], "class": Y["label"]}, verbose=0).history
    assert {f"loss/{name}" for name in losses} < set(history)


def test_outputs_that_no_loss_reads():
    model = bl.BlendedModel(network(), bl.Blend({"map": OutputLoss("map", "mae")}, bl.gates.Fixed([1.0])))
    model.compile("sgd", run_eagerly=True)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        model.fit(X, {"map": Y["map"]}, verbose=0)


def test_masks_of_keras():
    inputs = keras.Input([5], dtype="int32")
    hidden = keras.layers.Embedding(10, 4, mask_zero=True)(inputs)
    outputs = {"a": keras.layers.Dense(1)(hidden), "b": keras.layers.Dense(1)(hidden)}
    tokens = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]], "int32")
    targets = {name: np.ones((2, 5, 1), "float32") for name in "ab"}
    blend = bl.Blend({"a": OutputLoss("a", bl.losses.SquaredError()), "b": OutputLoss("b", "mae")}, Inverse())
    model = bl.BlendedModel(keras.Model(inputs, outputs), blend)
    model.compile(keras.optimizers.SGD(0.0))
    logs = model.train_on_batch(tokens, targets, return_dict=True)
    found = model.predict(tokens, verbose=0)
    kept = tokens != 0
    np.testing.assert_allclose(logs["loss/a"], ((found["a"][..., 0] - 1)[kept] ** 2).mean(), rtol=1e-6)
    np.testing.assert_allclose(logs["loss/b"], np.abs(found["b"][..., 0] - 1)[kept].mean(), rtol=1e-6)


def test_a_gate_trained_on_a_held_out_output():
    rule = bl.keras.HeldOut(OutputLoss("depth", "mae"))
    seed()
    model = bl.BlendedModel(network(), blend_of("learned-running"), held_out=rule)
    model.compile(keras.optimizers.SGD(0.05))
    before = model.blend.gate.logits.numpy()
    fit(model, held_out_data=(X[:16], {"depth": Y["depth"][:16]}))
    assert (model.blend.gate.logits.numpy() != before).all()


# Mistakes


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"depth": Y["depth"]}, "`y_true` must have 'map', which a loss reads"),
        (Y["depth"], "`y_true` must have 'depth', which a loss reads"),
    ],
    ids=["missing", "one"],
)
@pytest.mark.parametrize("gate", ["fixed", "inverse"])
def test_a_missing_target_is_named(gate, targets, message):
    model = model_of(gate, metrics=None)
    with pytest.raises(KeyError, match=message):
        model.fit(X, targets, verbose=0)


def test_losses_that_name_no_output_are_refused():
    model = bl.BlendedModel(network(), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))
    model.compile("sgd")
    with pytest.raises(TypeError, match="which name the output that they read"):
        model.fit(X, Y, verbose=0)
