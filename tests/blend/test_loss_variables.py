"""Which variables of a loss are trained and saved with the blend, and which are refused."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.blend.loss_variables import Laplace, LaplaceLayer, X, Y, network


def trained(loss, epochs=10):
    model = bl.BlendedModel(network(), bl.Blend({"laplace": loss}, bl.gates.Fixed([1.0])))
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize("kind", ["keras", "tf"])
def test_trains_as_the_layer_does_to_the_mean_deviation(kind):
    loss, layer = Laplace(kind), LaplaceLayer()
    model, other = trained(loss), trained(layer)
    assert [variable.name for variable in model.blend.trainable_variables] == ["log_b"]
    np.testing.assert_allclose(loss.log_b, layer.log_b, rtol=1e-4)
    np.testing.assert_allclose(model.predict(X, verbose=0), other.predict(X, verbose=0), rtol=1e-3, atol=1e-4)
    deviation = np.mean(np.abs(Y - model.predict(X, verbose=0)))
    np.testing.assert_allclose(loss.log_b, np.log(deviation), atol=0.05)


@pytest.mark.parametrize("kind", ["keras", "tf"])
def test_saved_and_loaded(kind, tmp_path):
    model = trained(Laplace(kind), epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.blend.trainable_variables[0]) == float(model.blend.trainable_variables[0]) != 0
    for one in (model, loaded):
        one.fit(X, Y, batch_size=64, epochs=1, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "blend",
    [
        pytest.param(lambda: bl.Blend({"a": Laplace()}, bl.gates.Fixed([1.0])), id="keras"),
        pytest.param(lambda: bl.Blend({"a": Laplace("tf")}, bl.gates.Fixed([1.0])), id="tf"),
        pytest.param(lambda: bl.Blend({"a": LaplaceLayer()}, bl.gates.Fixed([1.0])), id="layer"),
        pytest.param(lambda: bl.Blend({"a": bl.losses.AdaptiveBarron()}, bl.gates.Fixed([1.0])), id="adaptive"),
        pytest.param(lambda: bl.Blend({"a": bl.losses.OutputLoss("y", Laplace())}, bl.gates.Fixed([1.0])), id="output"),
        pytest.param(
            lambda: bl.Blend(["a", "b"], bl.gates.Bayesian(bl.gates.families.LogisticNormal(), examples=9, seed=0)),
            id="family-of-a-gate",
        ),
    ],
)
def test_checkpoint_holds_every_variable(blend, tmp_path):
    saved, other = blend(), blend()
    for variable in saved.variables:
        variable.assign(variable + 3)
    path = tf.train.Checkpoint(blend=saved).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(blend=other).restore(path).assert_consumed()
    assert saved.variables
    for one, restored in zip(saved.variables, other.variables, strict=True):
        np.testing.assert_array_equal(one, restored)


@pytest.mark.parametrize("kind", ["keras", "tf"])
def test_a_fresh_blend_has_its_own(kind):
    blend = bl.Blend({"laplace": Laplace(kind)}, bl.gates.Fixed([1.0]))
    blend.trainable_variables[0].assign(3.0)
    assert float(blend.fresh().trainable_variables[0]) == 0.0


def test_variables_in_lists_and_dicts_are_found_once():
    loss = Laplace()
    loss.others = {"a": [keras.Variable(1.0), loss.log_b], "b": (keras.Variable(2.0, trainable=False),)}
    blend = bl.Blend({"one": loss, "two": loss}, bl.gates.Fixed([1.0, 1.0]))
    assert sorted(map(float, blend.trainable_variables)) == [0.0, 1.0]
    assert [float(variable) for variable in blend.non_trainable_variables] == [2.0]


class Holder:
    """A loss that is no Keras object, and holds `part`."""

    def __init__(self, part):
        self.part = part

    def __call__(self, y_true, y_pred):
        return tf.reduce_mean(tf.square(y_pred - y_true), -1)


class Scaled(tf.Module):
    def __init__(self):
        super().__init__()
        self.log_b = tf.Variable(4.0)

    def __call__(self, y_true, y_pred):
        return tf.reduce_mean(tf.square(y_pred - y_true), -1) * self.log_b


@pytest.mark.parametrize(
    "loss", [pytest.param(Scaled, id="module"), pytest.param(lambda: Holder([Scaled()]), id="module-in-a-list")]
)
def test_variables_of_a_module_are_tracked(loss):
    assert list(map(float, bl.Blend({"mine": loss()}, bl.gates.Fixed([1.0])).trainable_variables)) == [4.0]


@pytest.mark.parametrize("layer", [lambda: keras.layers.Dense(2), network], ids=["layer", "network"])
def test_a_layer_that_would_train_is_refused(layer):
    with pytest.raises(ValueError, match=r"must be a `keras.Layer` itself.*Received: mine="):
        bl.Blend({"mine": Holder(layer()), "mse": "mse"}, bl.gates.Fixed([1.0, 1.0]))


def test_frozen_and_untrainable_variables_are_tracked():
    frozen = network()
    frozen.trainable = False
    losses = {"a": Holder(frozen), "b": Holder(tf.Variable(0.0, trainable=False)), "c": Holder(keras.Variable(1.0))}
    blend = bl.Blend(losses, bl.gates.Fixed([1.0, 1.0, 1.0]))
    assert list(map(float, blend.trainable_variables)) == [1.0]
    assert list(map(float, blend.non_trainable_variables)) == [0.0]


MODULE_LEVEL = keras.Variable(0.5, name="of_the_module")


def reads_the_module(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_pred - y_true), -1) * MODULE_LEVEL.value


def scaled_by(scale, y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_pred - y_true), -1) * tf.convert_to_tensor(scale)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(lambda: reads_the_module, id="module"),
        pytest.param(lambda: functools.partial(scaled_by, tf.Variable(1.0)), id="partial"),
        pytest.param(lambda: (lambda held: lambda y, p: scaled_by(held, y, p))(keras.Variable(1.0)), id="closure"),
        pytest.param(lambda: (lambda held: lambda y, p: scaled_by(held, y, p))(tf.Variable(1.0)), id="tf-closure"),
        pytest.param(lambda: (lambda held: lambda y, p: scaled_by(held[0], y, p))([tf.Variable(1.0)]), id="list"),
        pytest.param(lambda: tf.function(reads_the_module), id="tf-function"),
        pytest.param(lambda: Holder(keras.Variable(1.0)).__call__, id="method"),
    ],
)
def test_a_function_that_reads_a_variable_which_nothing_trains_is_refused(loss):
    model = bl.BlendedModel(network(), bl.Blend({"mine": loss()}, bl.gates.Fixed([1.0])))
    model.compile("sgd")
    with pytest.raises(ValueError, match="must not read a variable that trains.*Received: the loss 'mine'"):
        model.fit(X, Y, verbose=0)


def test_a_variable_of_the_network_in_a_loss_is_refused():
    net = network()
    model = bl.BlendedModel(net, bl.Blend({"mine": Holder(net.layers[0].kernel)}, bl.gates.Fixed([1.0])))
    model.compile("sgd")
    with pytest.raises(ValueError, match="must not hold a variable of the network"):
        model.fit(X, Y, verbose=0)


def test_one_tf_variable_in_two_losses_is_one_variable():
    shared = tf.Variable(1.0)
    blend = bl.Blend({"a": Holder(shared), "b": Holder([shared, {"again": shared}])}, bl.gates.Fixed([1.0, 1.0]))
    assert len(blend.trainable_variables) == 1
    first, second = (bl.Blend({"a": Holder(shared)}, bl.gates.Fixed([1.0])) for _ in range(2))
    bl.BlendedModel(network(), first)
    with pytest.raises(ValueError, match="shares with another model"):
        bl.BlendedModel(network(), second)


def test_a_function_may_read_the_networks_kernel_and_what_does_not_train():
    net, factor = network(), keras.Variable(0.1, trainable=False)
    kernel = net.layers[0].kernel

    def ridge(y_true, y_pred):
        return tf.reduce_mean(tf.square(y_pred - y_true), -1) + factor.value * tf.reduce_sum(tf.square(kernel.value))

    model = bl.BlendedModel(net, bl.Blend({"ridge": ridge}, bl.gates.Fixed([1.0])))
    model.compile("sgd")
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_a_held_out_target_that_would_never_train_is_refused():
    with pytest.raises(ValueError, match="`target` must not train"):
        bl.keras.HeldOut(Laplace())
