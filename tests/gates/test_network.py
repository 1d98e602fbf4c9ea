"""The gate that is a network of features: what it learns, what it keeps, what it refuses."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates, losses, modes
from blendloss.gates import Needs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 2)).astype("float32")
Y = RNG.normal(size=(12, 3)).astype("float32")
PREDICTION = (Y + RNG.normal(size=(12, 3))).astype("float32")
LOSSES = {"mse": losses.SquaredError(), "huber": losses.Huber(0.5), "mae": losses.AbsoluteError()}
MODES = {
    "soft": modes.Soft(),
    "entmax15": modes.Soft(modes.entmax15),
    "annealed": modes.Annealed(0.5, seed=1),
    "straight-through": modes.Hard(),
    "gumbel": modes.Hard(modes.GumbelStraightThrough(1)),
    "reinmax": modes.Hard(modes.ReinMax(1)),
}


def chooser(k=3, **layer):
    initializer = keras.initializers.RandomNormal(seed=3)
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(k, kernel_initializer=initializer, **layer)])


def blend_of(network=None, mode=None, **options):
    return bl.Blend(LOSSES, gates.Network(chooser() if network is None else network), mode, **options)


def compute(blend, prediction, features=X, **named):
    return blend.compute(Y, prediction, step=3, features=tf.convert_to_tensor(features), **named)


# Values and gradients


def test_each_example_is_weighed_by_its_own_logits():
    blend = blend_of()
    kernel, bias = blend.gate.network.get_weights()
    logits = X @ kernel + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    values = np.stack([loss(Y, PREDICTION) for loss in LOSSES.values()], axis=-1)
    output = compute(blend, PREDICTION)
    np.testing.assert_allclose(output.value, (shares * values).sum(axis=-1).mean(), rtol=1e-6)
    np.testing.assert_allclose(output.weights, shares.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(output.losses, values.mean(axis=0), rtol=1e-6)


def test_gradients_are_those_of_finite_differences():
    with_dtype = keras.Sequential([keras.Input([2], dtype="float64")])
    for layer in (keras.layers.Dense(4, "tanh", dtype="float64"), keras.layers.Dense(3, dtype="float64")):
        with_dtype.add(layer)
    gate = gates.Network(with_dtype, regularizers=[gates.regularizers.Entropy(0.3)], dtype="float64")
    for mode in (modes.Soft(), modes.Soft(modes.entmax15), modes.Annealed(0.7, seed=2)):
        blend = bl.Blend(LOSSES, gate, mode)

        def value(blend=blend):
            return blend(np.float64(Y), np.float64(PREDICTION), step=3, features=tf.constant(np.float64(X)))

        with tf.GradientTape() as tape:
            at = value()
        for variable, gradient in zip(
            blend.trainable_variables, tape.gradient(at, [v.value for v in blend.trainable_variables]), strict=True
        ):
            start, h = variable.numpy(), 1e-6
            for place in np.ndindex(start.shape):
                sides = []
                for sign in (1, -1):
                    moved = start.copy()
                    moved[place] += sign * h
                    variable.assign(moved)
                    sides.append(float(value()))
                variable.assign(start)
                np.testing.assert_allclose(gradient.numpy()[place], (sides[0] - sides[1]) / (2 * h), rtol=0, atol=1e-8)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains_every_variable_in_every_regime(mode):
    blend = blend_of(mode=MODES[mode])

    def step(x, y, prediction):
        with tf.GradientTape() as tape:
            output = blend.compute(y, prediction, step=3, features=x)
        return output, tape.gradient(output.value, [v.value for v in blend.trainable_variables])

    eager = step(X, Y, PREDICTION)
    assert all(np.any(gradient != 0) for gradient in eager[1])
    np.testing.assert_allclose(np.sum(eager[0].weights), 1, rtol=1e-6)
    for jit_compile in (False, True):
        signature = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 3]), tf.TensorSpec([None, 3])]
        compiled = tf.function(step, input_signature=signature, jit_compile=jit_compile)
        for a, b in zip(tf.nest.flatten(compiled(X, Y, PREDICTION)), tf.nest.flatten(eager), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_no_gradient_flows_back_into_the_features():
    features = tf.Variable(X)
    with tf.GradientTape() as tape:
        value = blend_of()(Y, PREDICTION, step=0, features=features)
    assert tape.gradient(value, features) is None


def test_a_weight_of_zero_protects_its_example():
    network = chooser(2, bias_initializer="zeros")
    network.set_weights([np.float32([[200, 0], [0, 0]]), np.zeros(2, "float32")])
    bad = {"mse": "mse", "log": lambda y, p: tf.math.log(p[:, 0])}
    blend = bl.Blend(bad, gates.Network(network))
    prediction = tf.Variable([[-2.0], [1.0]])  # log of -2 is NaN: the first example must not choose it
    with tf.GradientTape() as tape:
        value = blend(tf.zeros([2, 1]), prediction, step=0, features=tf.constant([[1.0, 0.0], [-1.0, 0.0]]))
    assert float(value) == 2.0  # (4 + log 1) / 2
    np.testing.assert_array_equal(tape.gradient(value, prediction), [[-2.0], [0.5]])


def test_features_may_be_nested():
    inputs = {"a": keras.Input([2], name="a"), "b": keras.Input([1], name="b")}
    both = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    blend = blend_of(keras.Model(inputs, keras.layers.Dense(3)(both)))
    output = blend.compute(Y, PREDICTION, step=0, features={"a": tf.constant(X), "b": tf.constant(X[:, :1])})
    np.testing.assert_allclose(np.sum(output.weights), 1, rtol=1e-6)


# What it learns


def heteroscedastic(law):
    """Pairs with x in [-1, 1] and y = noise of a law that depends on the sign of x; nothing to predict."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(4096, 1)).astype("float32")
    return x, law(rng, x).astype("float32")


def trained(losses_of, x, y, mode=None, epochs=6):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)])
    blend = bl.Blend(losses_of, gates.Network(network), mode)
    model = bl.BlendedModel(keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]), blend)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(x, y, epochs=epochs, batch_size=128, verbose=0)
    return lambda at: modes.Soft()(network(np.float32([[at]])))[0].numpy(), model


def normal_nll(scale):
    def nll(y, p):
        return tf.reduce_mean(tf.square((p - y) / scale) / 2 + np.log(scale * np.sqrt(2 * np.pi)), axis=-1)

    return nll


def laplace_nll(scale):
    return lambda y, p: tf.reduce_mean(abs(p - y) / scale + np.log(2 * scale), axis=-1)


@pytest.mark.parametrize("mode", ["soft", "annealed", "straight-through"])
def test_with_likelihoods_it_chooses_the_noise_law_at_each_place(mode):
    # Normal of standard deviation 1 on the left, Laplace of scale 1/4 on the right. Cross-entropies in nats, left:
    # normal 1.42, Laplace 4 sqrt(2 / pi) + log(1/2) = 2.50; right: normal 0.92 + 1/16, Laplace 1 + log(1/2) = 0.31.
    x, y = heteroscedastic(lambda rng, x: np.where(x < 0, rng.normal(size=x.shape), rng.laplace(0, 0.25, size=x.shape)))
    shares, _ = trained({"normal": normal_nll(1.0), "laplace": laplace_nll(0.25)}, x, y, MODES[mode])
    assert shares(-0.7)[0] > 0.9
    assert shares(0.7)[1] > 0.9


def test_without_normalizers_it_chooses_the_smallest_loss_at_each_place():
    """Normal noise throughout: E r^2 = s^2 and E |r| = 0.80 s, so "mse" is the smaller where s < 0.80, right or not."""
    x, y = heteroscedastic(lambda rng, x: rng.normal(size=x.shape) * np.where(x < 0, 0.3, 3.0))
    shares, _ = trained({"mse": losses.SquaredError(), "mae": losses.AbsoluteError()}, x, y)
    assert shares(-0.7)[0] > 0.8
    assert shares(0.7)[1] > 0.9


def test_a_regularizer_keeps_it_open():
    x, y = heteroscedastic(lambda rng, x: rng.normal(size=x.shape) * np.where(x < 0, 0.3, 3.0))
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)])
    gate = gates.Network(network, regularizers=[gates.regularizers.Entropy(50.0)])
    blend = bl.Blend({"mse": losses.SquaredError(), "mae": losses.AbsoluteError()}, gate)
    model = bl.BlendedModel(keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]), blend)
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(x, y, epochs=6, batch_size=128, verbose=0).history
    # The optimum at each x is softmax(-loss / 50): the losses differ by less than 9 there.
    shares = modes.Soft()(network(x)).numpy()
    assert 0.3 < shares.min() < shares.max() < 0.7
    assert history["cost"][-1] < -50 * 0.6


# State


def stateful():
    return keras.Sequential(
        [
            keras.Input([2]),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=7),
            keras.layers.Dense(3),
        ]
    )


def test_state_of_the_network_is_tracked():
    blend = blend_of(stateful())
    assert len(blend.trainable_variables) == 6
    assert [v.name for v in blend.non_trainable_variables][:2] == ["moving_mean", "moving_variance"]
    assert len(blend.non_trainable_variables) == 3  # and Dropout's seed
    frozen = [np.array(v) for v in blend.non_trainable_variables]
    compute(blend, PREDICTION, training=False)
    for a, b in zip(blend.non_trainable_variables, frozen, strict=True):
        np.testing.assert_array_equal(a, b)
    compute(blend, PREDICTION)
    assert all(np.any(np.array(a) != b) for a, b in zip(blend.non_trainable_variables, frozen, strict=True))


def test_the_training_flag_reaches_the_network():
    blend = blend_of(stateful())
    first, second = (compute(blend, PREDICTION, training=False).value for _ in range(2))
    assert float(first) == float(second)
    assert float(compute(blend, PREDICTION).value) != float(compute(blend, PREDICTION).value)  # dropout


def test_regularization_losses_of_the_network_are_the_models():
    network = chooser(kernel_regularizer=keras.regularizers.L2(0.5))
    kernel, _ = network.get_weights()
    blend = blend_of(network)
    expected = 0.5 * np.sum(kernel**2)
    np.testing.assert_allclose(np.sum(blend.losses), expected, rtol=1e-6)
    model = bl.BlendedModel(keras.Sequential([keras.Input([2]), keras.layers.Dense(3)]), blend)
    value = compute(blend, model.network(X), training=False).value
    model.compile("sgd")
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0)[0], float(value) + expected, rtol=1e-5)


def test_the_network_computes_in_its_own_policy():
    policy = keras.DTypePolicy("mixed_float16")
    blend = blend_of(chooser(dtype=policy))
    logits = blend.gate.gating(gates.Context(0, True, features=tf.constant(X)))
    half = blend.gate.network(X)
    assert half.dtype == tf.float16
    assert logits.dtype == tf.float32
    np.testing.assert_array_equal(logits, tf.cast(half, tf.float32))
    assert compute(blend, PREDICTION).value.dtype == tf.float32
    assert all(v.dtype == "float32" for v in blend.trainable_variables)


def test_configuration_round_trip():
    network = stateful()
    network.layers[0].trainable = False
    gate = gates.Network(network, regularizers=[gates.regularizers.Entropy(bl.schedules.linear(1.0, 0.0, steps=9))])
    assert Needs.STEP in gate.needs
    saved = json.dumps(keras.saving.serialize_keras_object(gate))
    again = keras.saving.deserialize_keras_object(json.loads(saved))
    assert json.dumps(keras.saving.serialize_keras_object(again)) == saved
    assert [layer.trainable for layer in again.network.layers] == [False, True, True, True]
    again.attach(tuple(LOSSES))
    again.network.set_weights(network.get_weights())
    ours, theirs = (g.network(X, training=False) for g in (again, gate))
    np.testing.assert_array_equal(ours, theirs)


def test_a_frozen_network_does_not_train():
    gate = gates.Network(chooser())
    gate.trainable = False
    again = gates.Network.from_config(gate.get_config())
    assert not again.trainable
    assert bl.Blend(LOSSES, again).trainable_variables == []


def test_fit_is_one_trace_and_resumes_bit_for_bit(tmp_path):
    class Counted(bl.BlendedModel):
        """Python runs a traced step only when it is traced."""

        traces = 0

        def train_step(self, data):
            self.traces += 1
            return super().train_step(data)

    def model_of(kind=bl.BlendedModel):
        keras.utils.set_random_seed(0)
        blend = blend_of(stateful(), modes.Annealed(bl.schedules.linear(2.0, 0.5, steps=20), seed=1))
        model = kind(keras.Sequential([keras.layers.Dense(3)]), blend)
        model.compile("adam")
        return model

    def fit(model, **named):
        return model.fit(X, Y, batch_size=4, shuffle=False, verbose=0, **named).history

    straight, stopped = model_of(Counted), model_of()
    history = fit(straight, epochs=4)
    assert straight.traces == 1
    fit(stopped, epochs=2)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    continued = fit(resumed, epochs=4, initial_epoch=2)
    for a, b in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, values in continued.items():
        np.testing.assert_array_equal(values, history[name][2:], err_msg=name)


# What it refuses


def test_a_network_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match="`network` must be built, so that .* give it a `keras.Input`.*Received: <Seq"):
        blend_of(keras.Sequential([keras.layers.Dense(3)]))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_wrong_numbers_of_logits_are_refused(k):
    with pytest.raises(ValueError, match=r"`network` must end in \[batch, 3\] logits.*Received: output \(None, "):
        blend_of(chooser(k))


def test_logits_of_wrong_rank_and_several_outputs_are_refused():
    inputs = keras.Input([2, 3])
    with pytest.raises(ValueError, match=r"must end in \[batch, 3\] logits"):
        blend_of(keras.Model(inputs, keras.layers.Dense(3)(inputs)))
    inputs = keras.Input([2])
    outputs = [keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)]
    with pytest.raises(ValueError, match=r"must end in \[batch, 3\] logits"):
        blend_of(keras.Model(inputs, outputs))


def test_a_layer_of_ones_own_is_checked_when_it_is_called():
    layer = keras.layers.Dense(2)
    layer.build([None, 2])
    with pytest.raises(ValueError, match="K = 3"):
        compute(blend_of(layer), PREDICTION)
    layer = keras.layers.Dense(3)
    layer.build([None, 2])
    assert np.isfinite(compute(blend_of(layer), PREDICTION).value)


def test_arguments_that_are_no_network_are_refused():
    with pytest.raises(TypeError, match="`network` must be a Keras model or layer. Received: network='dense'"):
        gates.Network("dense")
    with pytest.raises(TypeError, match="`regularizers` must be a list of regularizers"):
        gates.Network(chooser(), regularizers=gates.regularizers.Entropy(1.0))


def test_missing_features_raise():
    with pytest.raises(ValueError, match="chooses by features: pass `features=`"):
        blend_of()(Y, PREDICTION, step=0)


def test_a_blend_that_cannot_train_the_network_raises():
    with pytest.raises(ValueError, match=r"trains.*or use `BlendedModel"):
        blend_of()(Y, PREDICTION, features=tf.constant(X))
