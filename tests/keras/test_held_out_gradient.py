"""What a gate that follows a held-out loss is trained by, and which loss it comes to choose."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.keras.held_out import MODES, X_HELD_OUT, Y_HELD_OUT, X, Y, blend_of, fit, logits_of, model_of, network
from tests.keras.models import ScaledError
from tests.seeding import seed


@pytest.mark.parametrize("given", [None, 0.2], ids=["optimizers-rate", "given-rate"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("mode", MODES)
def test_gate_follows_the_look_ahead_gradient(mode, order, given):
    rule = bl.keras.HeldOut(bl.losses.PseudoHuber(), rate=given, order=order, batch_size=24)
    gate = bl.gates.Learned([0.4, 0.1, -0.2])
    optimizers = {"optimizer": keras.optimizers.SGD(0.05), "gate_optimizer": keras.optimizers.SGD(1.0)}
    model = model_of(mode, rule, gate=gate, metrics=None, **optimizers)
    net, before = model.network, logits_of(model)

    def predict(w, x):
        return keras.ops.tanh(x @ w[0] + w[1]) @ w[2] + w[3]

    [expected] = bl.look_ahead_gradient(
        lambda w: model.blend(Y, predict(w, X), step=0),
        lambda w: tf.reduce_mean(bl.losses.PseudoHuber()(Y_HELD_OUT, predict(w, X_HELD_OUT))),
        [tf.convert_to_tensor(w.value) for w in net.trainable_variables],
        [gate.logits],
        rate=given or 0.05,
        order=order,
    )
    fit(model, epochs=1, batch_size=64)
    # The batch of 24 is all the rows, in another order: sums of float32 round otherwise.
    np.testing.assert_allclose(before - logits_of(model), expected, rtol=1e-4, atol=1e-7)


def test_regularizers_are_part_of_the_gates_objective():
    entropy = bl.gates.regularizers.Entropy(0.5)

    def change(regularizers):
        gate = bl.gates.Learned([0.4, 0.1, -0.2], regularizers=regularizers)
        model = model_of(gate=gate, gate_optimizer=keras.optimizers.SGD(1.0), metrics=None)
        before = logits_of(model)
        fit(model, epochs=1, batch_size=64)
        return logits_of(model) - before

    logits = tf.constant([0.4, 0.1, -0.2])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        cost = entropy(tf.nn.softmax(logits))
    np.testing.assert_allclose(change([entropy]) - change([]), -tape.gradient(cost, logits), rtol=1e-5, atol=1e-7)


def test_held_out_rule_does_not_change_how_the_network_trains():
    """The held-out batch leaves no trace in batch normalization, dropout or regularization."""

    def layers():
        dense = keras.layers.Dense(8, kernel_regularizer="l2", activity_regularizer="l2")
        return network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=2), dense)

    named = {"net": layers, "gate_optimizer": keras.optimizers.SGD(0.0)}
    model = model_of(**named)
    seed()
    plain = bl.BlendedModel(layers(), blend_of())
    plain.compile("adam", metrics=["mae"], gate_optimizer=keras.optimizers.SGD(0.0))
    expected, found = fit(plain, held_out_data=None), fit(model)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, err_msg=name)
    for a, b in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def test_variables_of_losses_train_on_the_training_loss():
    scale = ScaledError()
    model = bl.BlendedModel(
        network(), bl.Blend({"mse": "mse", "scaled": scale}, bl.gates.Learned()), held_out=bl.keras.HeldOut("mae")
    )
    model.compile(keras.optimizers.SGD(0.0), gate_optimizer=keras.optimizers.SGD(0.1))
    fit(model, epochs=1, batch_size=64)
    # Half of d/ds (m / s + log s) at s = 1, with the weight 1/2 and the rate 0.1.
    mean = np.abs(model.predict(X, verbose=0) - Y).mean()
    np.testing.assert_allclose(scale.scale.numpy(), 1 - 0.1 * 0.5 * (1 - mean), rtol=1e-5)


class OfFeatures(bl.gates.Gate):
    """A gate of one's own: per example, with layers."""

    needs = Needs.FEATURES

    def create_state(self, k):
        self.dense = keras.layers.Dense(k, kernel_initializer=keras.initializers.RandomNormal(seed=1))
        self.dense.build((None, 4))

    def gating(self, context):
        return self.dense(context.features)


def test_gate_of_features_trains():
    model = model_of(gate=OfFeatures(), metrics=None)
    before = [variable.numpy() for variable in model.blend.trainable_variables]
    fit(model)
    assert len(before) == 2
    for old, new in zip(before, model.blend.trainable_variables, strict=True):
        assert (old != new.numpy()).all()


def test_held_out_gate_chooses_the_loss_with_the_lower_error():
    """A third of the training targets is wrong, always upwards; the squared error is given the smaller numbers."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1200, 1)).astype("float32")
    clean = 2 * x + 1 + rng.normal(size=x.shape).astype("float32") * 0.1
    y = np.where(rng.uniform(size=x.shape) < 1 / 3, clean + 8, clean).astype("float32")
    losses = {"small": lambda y_true, y_pred: 0.03 * tf.reduce_mean((y_pred - y_true) ** 2, -1), "mae": "mae"}

    def trained(gate, **named):
        seed()
        model = bl.BlendedModel(
            keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]), bl.Blend(losses, gate), **named
        )
        own = {"gate_optimizer": keras.optimizers.Adam(0.05)} if gate.trainable_variables else {}
        model.compile(keras.optimizers.SGD(0.1), steps_per_execution=10, **own)
        data = {"held_out_data": (x[800:1000], clean[800:1000])} if named else {}
        training = (np.tile(part[:800], (20, 1)) for part in (x, y))  # an epoch of 20 rounds, which start fewer loops
        history = model.fit(*training, batch_size=80, epochs=2, verbose=0, **data).history
        error = float(np.abs(model.predict(x[1000:], verbose=0) - clean[1000:]).mean())
        return history["gate/mae"][-1], error

    alone = {name: trained(bl.gates.Fixed(weights))[1] for name, weights in (("small", [1, 0]), ("mae", [0, 1]))}
    assert alone["mae"] < 0.5 * alone["small"]
    naive, held_out = (
        trained(bl.gates.Learned()),
        trained(bl.gates.Learned(), held_out=bl.keras.HeldOut("mae", batch_size=50)),
    )
    assert naive[0] < 0.1
    assert naive[1] > 0.8 * alone["small"]
    assert held_out[0] > 0.9
    assert held_out[1] < 1.2 * alone["mae"]
