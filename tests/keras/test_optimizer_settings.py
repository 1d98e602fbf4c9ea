"""With `gate_optimizer`, `model.optimizer` is the network's: each setting against plain Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import optimizers

import blendloss as bl
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(64, 1))).astype("float32")
SHARES = np.array([0.75, 0.25], np.float32)


def network():
    seed()
    layers = [keras.Input([4]), keras.layers.Dense(8, "tanh", name="hidden"), keras.layers.Dense(1, name="output")]
    return keras.Sequential(layers)


def blended(optimizer, gate_optimizer=None, kind=bl.BlendedModel, **named):
    """A model whose logits are log(0.75), log(0.25), unless its gate's optimizer moves them."""
    blend = bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Learned(np.log(SHARES)))
    model = kind(network(), blend)
    model.compile(optimizer, gate_optimizer=gate_optimizer, **named)
    return model


def logits_of(model):
    return model.blend.gate.logits.numpy()


def fit(model, epochs=2, **named):
    return model.fit(X, Y, epochs=epochs, **{"batch_size": 16, "shuffle": False, "verbose": 0, **named}).history


def loss_by_hand(y, p):
    return tf.reduce_mean(SHARES[0] * (p - y) ** 2 + SHARES[1] * tf.abs(p - y), -1)


class Signed(optimizers.Optimizer):
    """One of the user's own, with a setting of its own."""

    def __init__(self, learning_rate=0.01, power=1.0, **named):
        super().__init__(learning_rate=learning_rate, **named)
        self.power = power

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, learning_rate * tf.sign(gradient) * tf.abs(gradient) ** self.power)


class Twice(optimizers.SGD):
    """Does everything twice, by a method that few override."""

    def apply_gradients(self, grads_and_vars):
        pairs = list(grads_and_vars)
        super().apply_gradients(pairs)
        return super().apply_gradients(pairs)


def by_path():
    return optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.01), {".*/output/.*": optimizers.Adam()}))


def built(model):
    model.optimizer.build(model.trainable_variables)


def without(*names):
    def configure(model):
        kernels = [v for v in model.trainable_variables if v.name == "kernel"]
        model.optimizer.exclude_from_weight_decay(var_list=kernels, var_names=list(names))

    return configure


def set_on(name, value):
    return lambda model: setattr(getattr(model.optimizer, "inner_optimizer", model.optimizer), name, value)


def on_plateau():
    return keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1e9)


def adamw(**named):
    return optimizers.AdamW(0.01, **{"weight_decay": 5.0, **named})


def sgd(rate=0.1, **named):
    return optimizers.SGD(rate, **named)


def halved(epoch):
    return 0.1 / 2**epoch


decayed_rate = optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
NOTHING = ()
SETTINGS = [
    pytest.param(lambda: "adam", NOTHING, NOTHING, id="name"),
    pytest.param(lambda: {"class_name": "Adam", "config": {"learning_rate": 0.1}}, NOTHING, NOTHING, id="config"),
    pytest.param(lambda: sgd(clipnorm=0.1), NOTHING, NOTHING, id="clipnorm"),
    pytest.param(lambda: sgd(clipvalue=0.1), NOTHING, NOTHING, id="clipvalue"),
    pytest.param(lambda: sgd(global_clipnorm=0.1), NOTHING, NOTHING, id="global-clipnorm"),
    pytest.param(sgd, [set_on("clipnorm", 0.1)], NOTHING, id="clipnorm-later"),
    pytest.param(sgd, [built, set_on("global_clipnorm", 0.1)], NOTHING, id="global-clipnorm-later"),
    pytest.param(adamw, [without("bias")], NOTHING, id="excluded"),
    pytest.param(adamw, [built, without()], NOTHING, id="excluded-after-build"),
    pytest.param(adamw, [set_on("weight_decay", 0.0)], NOTHING, id="decay-later"),
    pytest.param(sgd, [set_on("learning_rate", 0.01)], NOTHING, id="rate-later"),
    pytest.param(sgd, NOTHING, [lambda: keras.callbacks.LearningRateScheduler(halved)], id="rate-by-callback"),
    pytest.param(sgd, NOTHING, [on_plateau], id="rate-on-plateau"),
    pytest.param(lambda: sgd(decayed_rate), NOTHING, NOTHING, id="schedule"),
    pytest.param(lambda: sgd(use_ema=True, ema_momentum=0.5), NOTHING, NOTHING, id="ema"),
    pytest.param(
        lambda: sgd(use_ema=True, ema_momentum=0.5),
        NOTHING,
        [lambda: keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
        id="ema-swapped",
    ),
    pytest.param(
        lambda: optimizers.LossScaleOptimizer(sgd(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3)),
        NOTHING,
        [lambda: keras.callbacks.SwapEMAWeights()],
        id="ema-scaled",
    ),
    pytest.param(lambda: sgd(gradient_accumulation_steps=2), NOTHING, NOTHING, id="accumulation"),
    pytest.param(lambda: sgd(loss_scale_factor=8.0), NOTHING, NOTHING, id="static-scale"),
    pytest.param(sgd, [built, set_on("loss_scale_factor", 8.0)], NOTHING, id="static-scale-later"),
    pytest.param(lambda: optimizers.LossScaleOptimizer(adamw()), [set_on("weight_decay", 1.0)], NOTHING, id="scaled"),
    pytest.param(lambda: Signed(0.01, clipnorm=1.0), [set_on("power", 0.5)], NOTHING, id="custom"),
    pytest.param(lambda: Twice(0.05), NOTHING, NOTHING, id="custom-apply-gradients"),
    pytest.param(lambda: optimizers.Muon(0.01), NOTHING, NOTHING, id="muon"),
    pytest.param(by_path, NOTHING, NOTHING, id="by-path"),
]


@pytest.mark.parametrize(("make", "configure", "callbacks"), SETTINGS)
def test_optimizer_settings_apply_to_the_network(make, configure, callbacks):
    plain = network()
    plain.compile(make(), loss=loss_by_hand)
    given = make()
    model = blended(given, optimizers.SGD(0.0))
    assert model.optimizer is given or isinstance(given, (str, dict))
    for compiled in (plain, model):
        for step in configure:
            step(compiled)
        fit(compiled, epochs=3, callbacks=[callback() for callback in callbacks])
    np.testing.assert_array_equal(logits_of(model), np.log(SHARES))
    for expected, found in zip(plain.weights, model.network.weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=expected.path)
    one, other = plain.optimizer, model.optimizer
    assert type(other) is type(one)
    assert [v.shape for v in other.variables] == [v.shape for v in one.variables]
    assert int(other.iterations) == int(one.iterations) == int(model.step)
    configs = [optimizer.get_config() for optimizer in (one, other)]
    assert _unnamed(configs[0]) == _unnamed(configs[1])


def _unnamed(config):
    """A configuration without the names that Keras numbers."""
    if isinstance(config, dict):
        return {name: _unnamed(value) for name, value in config.items() if name != "name"}
    return config


class ByHand(bl.BlendedModel):
    """Keras's guide: a step that hands all gradients to the optimizer."""

    apply = "apply_gradients"

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        if self.apply == "apply_gradients":
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        else:
            if not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            self.optimizer.apply(gradients)
        return {"loss": loss}


@pytest.mark.parametrize("apply", ["apply_gradients", "apply"])
def test_step_by_hand_trains_each_part_by_its_own(apply):
    expected, found = (blended(sgd(0.01), sgd(0.5, clipnorm=0.1), kind) for kind in (bl.BlendedModel, ByHand))
    found.apply = apply
    for model in (expected, found):
        fit(model)
    assert int(found.gate_optimizer.iterations) == int(found.optimizer.iterations) == 8
    assert not np.allclose(logits_of(found), np.log(SHARES))
    for a, b in zip(expected.trainable_weights, found.trainable_weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_gradients_that_are_not_as_many_as_the_variables():
    model = blended("sgd", "sgd")
    built(model)
    with pytest.raises(ValueError, match=r"`grads` must be as many .* Received: 1 gradients for 5 variables"):
        model.optimizer.apply([tf.zeros([4, 8])])


def test_gates_optimizer_cannot_scale_the_loss_later():
    model = blended("sgd", sgd())
    model.gate_optimizer.loss_scale_factor = 2.0
    with pytest.raises(ValueError, match="`gate_optimizer` must not scale the loss"):
        fit(model)


# One optimizer for both parts


def moved(model, after):
    """How far `after(model)` moves what trains, of network and gate."""
    parts = model.network.trainable_variables, model.blend.trainable_variables
    before = [np.concatenate([v.numpy().ravel() for v in part]) for part in parts]
    after(model)
    return [np.concatenate([v.numpy().ravel() for v in part]) - old for part, old in zip(parts, before, strict=True)]


def test_one_optimizer_clips_the_norm_of_both_together():
    def step(model):
        model.train_on_batch(X, Y)

    network, gate = moved(blended(sgd(1.0, global_clipnorm=0.01)), step)
    np.testing.assert_allclose(np.hypot(np.linalg.norm(network), np.linalg.norm(gate)), 0.01, rtol=1e-4)
    assert np.linalg.norm(gate) > 1e-3
    network, gate = moved(blended(sgd(1.0, global_clipnorm=0.01), sgd(1.0)), step)
    np.testing.assert_allclose(np.linalg.norm(network), 0.01, rtol=1e-4)
    assert np.linalg.norm(gate) > 0.01


def test_one_optimizer_averages_both():
    first, last = (moved(blended(sgd(0.01)), lambda model, n=n: fit(model, n, batch_size=64)) for n in (1, 2))
    mean = moved(blended(sgd(0.01, use_ema=True, ema_momentum=0.5)), lambda model: fit(model, 2, batch_size=64))
    for one, two, found in zip(first, last, mean, strict=True):
        np.testing.assert_allclose(found, (one + two) / 2, rtol=1e-4, atol=1e-7)


# Compiled again


class Counted(bl.BlendedModel):
    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def test_compiled_again_with_another_optimizer_of_the_gate():
    model = blended(sgd(0.01), sgd(0.0), Counted)
    fit(model)
    model.compile(model.optimizer, gate_optimizer=optimizers.Adam(0.1))
    fit(model)
    assert model.traces == 2
    assert (int(model.optimizer.iterations), int(model.gate_optimizer.iterations)) == (16, 8)
    assert not np.allclose(logits_of(model), np.log(SHARES))


def test_averages_of_the_whole_model_are_not_divided():
    model = blended(sgd(use_ema=True))
    fit(model)
    with pytest.raises(ValueError, match="must not keep averages of what `gate_optimizer` is to train"):
        model.compile(model.optimizer, gate_optimizer="sgd")


def test_optimizer_goes_on_to_another_model():
    optimizer = sgd(0.01)
    blended(optimizer, "sgd")
    plain, expected = network(), network()
    for model, chosen in ((plain, optimizer), (expected, sgd(0.01))):
        model.compile(chosen, loss="mse")
        fit(model)
    for a, b in zip(plain.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
