"""A loss that a layer adds, weighed by the gate: against plain Keras."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import AddedLoss, OutputLoss
from tests.keras.models import SavedAfter, assert_same
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
FIT = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}


@keras.saving.register_keras_serializable(package="tests")
class Adds(keras.layers.Layer):
    """Adds `factor` times the mean of its squared inputs, in two parts."""

    def __init__(self, factor=1.0, **named):
        super().__init__(**named)
        self.factor = factor

    def call(self, x):
        self.add_loss(0.25 * self.factor * tf.reduce_mean(x**2))
        self.add_loss(
            0.75 * self.factor * tf.reduce_mean(x**2, axis=0, keepdims=True) / x.shape[-1]
        )  # summed, as in Keras
        return x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def network(factor=1.0, nested=True):
    """With a kernel regularizer, which is no added loss."""
    seed()
    inner = [keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1)), Adds(factor, name="kl")]
    layers = [keras.Sequential(inner, name="encoder")] if nested else inner
    return keras.Sequential([keras.Input([4]), *layers, keras.layers.Dense(1)])


def blend_of(gate=None, layer="kl", mode=None, **named):
    gate = bl.gates.Fixed([1.0, 0.5]) if gate is None else gate
    return bl.Blend({"mse": "mse", "kl": AddedLoss(layer)}, gate, mode, **named)


def model_of(gate=None, net=None, compiled=None, **named):
    model = bl.BlendedModel(network() if net is None else net, blend_of(gate, **named))
    model.compile(keras.optimizers.SGD(0.05), **(compiled or {}))
    return model


@pytest.fixture(scope="module")
def plain():
    """What plain Keras makes of the weight in the layer: history, weights, and the loss in evaluation."""

    @functools.cache
    def run():
        model = network(0.5)
        model.compile(keras.optimizers.SGD(0.05), loss="mse")
        return model.fit(X, Y, **FIT).history, model.get_weights(), model.evaluate(X, Y, verbose=0)

    return run


@pytest.mark.parametrize("compiled", [{}, {"jit_compile": True}, {"run_eagerly": True}], ids=["graph", "xla", "eager"])
@pytest.mark.parametrize("layer", ["kl", "encoder"])
def test_a_model_trains_as_plain_keras_with_the_weight_in_the_layer(layer, compiled, plain):
    expected, weights, evaluated = plain()
    ours = model_of(layer=layer, compiled=compiled)
    history = ours.fit(X, Y, **FIT).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    for one, other in zip(ours.network.get_weights(), weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    found = ours.evaluate(X, Y, verbose=0, return_dict=True)
    hidden = ours.network.get_layer("encoder")(X).numpy()
    np.testing.assert_allclose(found["loss/kl"], np.mean(hidden**2), rtol=1e-5)
    np.testing.assert_allclose(found["loss"], evaluated, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_two_replicas_are_one_device(replicas, reduction):
    one = model_of(reduction=reduction)
    one.optimizer.learning_rate = 0.002
    one.fit(X, Y, **FIT)
    with replicas.scope():
        two = model_of(reduction=reduction)
        two.optimizer.learning_rate = 0.002
    two.fit(X, Y, **FIT)
    for a, b in zip(one.network.get_weights(), two.network.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


GATES: dict[str, Callable[[], bl.gates.Gate]] = {
    "values": bl.gates.SoftAdapt,
    "progress": bl.gates.FAMO,
    "gradients": bl.gates.CAGrad,
    "learned": lambda: bl.gates.Learned(normalize="running"),
    "manual": lambda: bl.gates.Manual([1.0, 0.5]),
}


@pytest.mark.parametrize("gate", GATES)
def test_gates_of_every_kind_save_and_go_on(gate, tmp_path):
    straight, saved = model_of(GATES[gate]()), SavedAfter(1, tmp_path / "model.keras")
    history = straight.fit(X, Y, callbacks=[saved], **FIT).history
    resumed = keras.models.load_model(saved.path)
    assert_same(saved.weights, resumed.get_weights())
    continued = resumed.fit(X, Y, initial_epoch=1, **FIT).history
    assert np.isfinite(history["loss/kl"]).all()
    assert continued["loss/kl"] == history["loss/kl"][1:]
    assert_same(straight.get_weights(), resumed.get_weights())


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_hard_gate_trains_on_one_loss(chosen):
    weights = [1.0, 0.25] if chosen == 0 else [0.25, 1.0]
    model = model_of(bl.gates.Fixed(weights), mode=bl.modes.Hard())
    history = model.fit(X, Y, **FIT).history
    other = network(0.0 if chosen == 0 else 1.25)
    loss = (lambda y, p: 1.25 * keras.losses.mean_squared_error(y, p)) if chosen == 0 else lambda y, p: 0 * p[:, 0]
    other.compile(keras.optimizers.SGD(0.05), loss=loss)
    other.fit(X, Y, **FIT)
    for one, two in zip(model.network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert np.isnan(history["loss/kl" if chosen == 0 else "loss/mse"]).all()


def test_an_added_loss_beside_losses_of_outputs():
    inputs = keras.Input([4])
    hidden = keras.Sequential([keras.layers.Dense(3), Adds(name="kl")])(inputs)
    net = keras.Model(inputs, {"a": keras.layers.Dense(1)(hidden), "b": keras.layers.Dense(1)(hidden)})
    losses = {"kl": AddedLoss("kl"), "a": OutputLoss("a", "mse"), "b": OutputLoss("b", "mae")}
    model = bl.BlendedModel(net, bl.Blend(losses, bl.gates.Fixed([2.0, 1.0, 1.0])))
    model.compile("sgd")
    found = model.evaluate(X, {"a": Y, "b": Y}, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], 2 * found["loss/kl"] + found["loss/a"] + found["loss/b"], rtol=1e-5)


def test_added_losses_in_the_blend_are_not_added_again():
    model = model_of()
    model(X)
    kernel = model.network.get_layer("encoder").layers[0].kernel
    np.testing.assert_allclose([float(loss) for loss in model.losses], [0.1 * np.sum(np.square(kernel))], rtol=1e-5)
    assert len(model.network.losses) == 3


def twice():
    net = network()
    net.add(Adds(name="kl"))
    return net


@pytest.mark.parametrize(
    ("blend", "net", "message"),
    [
        pytest.param(lambda: blend_of(layer="kll"), network, r"one layer named 'kll'.*has 0.*\['dense", id="missing"),
        pytest.param(blend_of, twice, "one layer named 'kl'.*has 2", id="ambiguous"),
        pytest.param(lambda: blend_of(layer="out"), lambda: named_out(), "'out' must add a loss.*none", id="nothing"),
        pytest.param(
            lambda: bl.Blend({"a": AddedLoss("kl"), "b": AddedLoss("encoder")}, bl.gates.Fixed([1.0, 1.0])),
            network,
            "must be named once",
            id="overlapping",
        ),
    ],
)
def test_an_added_loss_that_no_layer_adds_is_refused(blend, net, message):
    model = bl.BlendedModel(net(), blend())
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0)


def named_out():
    net = network()
    net.add(keras.layers.Dense(1, name="out"))
    return net


def test_custom_loops_pass_the_added_value():
    blend, y, p = blend_of(), [[0.0]], [[2.0]]
    value = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(value)
        total = blend(y, p, added={"kl": value})
    assert float(total) == 4 + 0.5 * 3
    assert float(tape.gradient(total, value)) == 0.5
    assert float(blend.combine({"mse": 4.0, "kl": 3.0})) == 5.5
    assert {name: float(one) for name, one in blend.values(y, p, added={"kl": 3.0}).items()} == {"mse": 4, "kl": 3}
    for added in (None, {}, {"mse": 1.0}, {"kl": 1.0, "other": 1.0}, 3.0):
        with pytest.raises(ValueError, match=r"`added` must have a value for each loss.*\['kl'\]"):
            blend(y, p, added=added)
    with pytest.raises(ValueError, match=r"`added\['kl'\]` must be a scalar"):
        blend(y, p, added={"kl": [1.0, 2.0]})
    with pytest.raises(ValueError, match="`added` must have a value for each loss"):
        bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0]))(y, p, added={"kl": 1.0})


def test_gates_that_cannot_weigh_a_loss_of_the_whole_batch_raise():
    chooser = keras.Sequential([keras.Input([1]), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"weighs each example by itself.*\['kl'\]"):
        blend_of(bl.gates.Network(chooser))([[0.0]], [[2.0]], step=0, features=tf.ones([1, 1]), added={"kl": 1.0})
    with pytest.raises(ValueError, match="must be reduced"):
        blend_of(reduction="none")
    with pytest.raises(ValueError, match="one residual that all losses share"):
        blend_of(bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0], width=1.0))
    with pytest.raises(ValueError, match="does not follow from targets"):
        AddedLoss("kl")([[0.0]], [[1.0]])


@pytest.mark.parametrize(("layer", "error"), [(3, TypeError), (None, TypeError), ("", ValueError)])
def test_wrong_arguments(layer, error):
    with pytest.raises(error, match="`layer` must"):
        AddedLoss(layer)


def test_round_trip():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(AddedLoss("kl")))
    assert again == AddedLoss("kl")
    assert repr(again) == "AddedLoss(layer='kl')"


def test_fit_without_targets_where_no_loss_needs_them():
    net = keras.Sequential([keras.Input([4]), keras.layers.Dense(2), Adds(name="kl")])
    model = bl.BlendedModel(net, bl.Blend({"kl": AddedLoss("kl")}, bl.gates.Fixed([1.0])))
    model.compile("sgd")
    losses = model.fit(X, batch_size=16, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
