"""Gates that follow a held-out loss: what they follow, every way of running them, saving, mistakes."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.keras.held_out import (
    HELD_OUT,
    MODES,
    X_HELD_OUT,
    Y_HELD_OUT,
    X,
    Y,
    blend_of,
    fit,
    logits_of,
    model_of,
    network,
)
from tests.keras.models import SavedAfter, assert_two_replicas_are_one_device
from tests.keras.optimized_graphs import assert_reads_and_updates_are_ordered, optimized_graphs
from tests.seeding import seed


def state_of(model):
    """Weights and the state of each optimizer, by path."""
    own = model.gate_optimizer.variables if model.gate_optimizer else []
    return [(variable.path, variable.numpy()) for variable in [*model.weights, *model.optimizer.variables, *own]]


def assert_same_state(expected, found):
    for (path, a), (_, b) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)


class Counted(bl.BlendedModel):
    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


class Checkpointed(SavedAfter):
    """Saves a checkpoint, too."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch + 1 == self.epochs:
            self.checkpoint = tf.train.Checkpoint(model=self.model).save(self.path.with_suffix(".checkpoint"))
            self.state = state_of(self.model)


WAYS = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "several-steps": {"steps_per_execution": 2},
    "xla": {"jit_compile": True},
    "one-optimizer": {"gate_optimizer": None},
    "xla-one-optimizer": {"jit_compile": True, "gate_optimizer": None},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run in one of the ways, as it was when it ended; under XLA saved half-way, to be resumed.

    `model` is for the test that fits it again.
    """
    folder = tmp_path_factory.mktemp("trained")

    @functools.cache
    def run(mode="soft", way="graph"):
        resumed = "xla" in way
        saved = Checkpointed(2, folder / f"{mode}-{way}.keras")
        model = model_of(mode, cls=Counted, **WAYS[way])
        history = fit(model, epochs=4 if resumed else 2, callbacks=[saved] if resumed else [])
        return types.SimpleNamespace(
            model=model,
            history=history,
            state=state_of(model),
            logits=logits_of(model),
            step=int(model.step),
            saved=saved,
        )

    return run


# The gradient


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


def test_what_the_gate_adds_once_is_part_of_its_objective():
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


def test_network_trains_as_it_does_without_the_rule():
    """The held-out batch leaves no trace in batch normalisation, dropout or regularisation."""

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


def test_losses_that_train_train_on_the_training_loss():
    class Scaled(keras.Layer):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, y_true, y_pred):
            return tf.reduce_mean(tf.abs(y_pred - y_true), -1) / self.scale + tf.math.log(self.scale)

    scale = Scaled()
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


# What it is for


def test_gate_chooses_by_the_held_out_error_where_the_naive_one_chooses_the_smallest_numbers():
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


# Every way of running


@pytest.mark.parametrize("way", ["graph", "one-optimizer", "xla"])
def test_training_step_is_traced_once(way, trained):
    model = trained("soft", way).model
    fit(model)
    fit(model, held_out_data=None)
    fit(model, held_out_data=(X_HELD_OUT, Y_HELD_OUT + 1))
    assert model.traces == 1
    fit(model, held_out_data=(X_HELD_OUT[1:], Y_HELD_OUT[1:]))
    assert model.traces == 2


def test_other_data_are_seen_by_the_traced_step(trained):
    two, other = model_of(), model_of()
    fit(two, held_out_data=(X_HELD_OUT, -Y_HELD_OUT))
    assert (trained().logits != logits_of(two)).all()
    other.set_held_out_data(HELD_OUT)
    fit(other, held_out_data=(X_HELD_OUT, -Y_HELD_OUT))
    np.testing.assert_array_equal(logits_of(other), logits_of(two))


@pytest.mark.parametrize("way", ["xla", "several-steps", "eager"])
@pytest.mark.parametrize("mode", ["soft", "reinmax"])
def test_every_way_of_running_gives_the_same(mode, way, trained):
    expected, found = trained(mode).history, trained(mode, way).history
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(found[name][:2], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_one_optimizer_trains_both(trained):
    run = trained("soft", "one-optimizer")
    assert (run.logits != 0).all()
    assert run.step == 8


def test_gradient_accumulation():
    model = model_of(optimizer=keras.optimizers.Adam(gradient_accumulation_steps=2))
    fit(model)
    assert int(model.step) == 4  # 8 batches


def test_train_on_batch():
    model = model_of()
    model.set_held_out_data(HELD_OUT)
    for _ in range(2):
        logs = model.train_on_batch(X, Y, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert (logits_of(model) != 0).all()


def test_loss_in_history_is_the_training_loss():
    model = model_of(optimizer=keras.optimizers.SGD(0.0), gate_optimizer=keras.optimizers.SGD(0.0))
    history = fit(model, epochs=1)
    evaluated = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    assert set(history) == set(evaluated)
    for name, value in evaluated.items():
        np.testing.assert_allclose(history[name][0], value, rtol=1e-5)


@pytest.fixture(scope="module")
def of_full_precision():
    """The logits that half precision is compared with."""

    @functools.cache
    def logits():
        model = model_for_half_precision(keras.optimizers.SGD(0.01))
        fit(model, epochs=1)
        return logits_of(model)

    return logits


def model_for_half_precision(optimizer):
    rule = bl.keras.HeldOut("mae", rate=1e-6, batch_size=24)  # rate times slope would underflow in half precision
    return model_of(rule=rule, optimizer=optimizer, gate_optimizer=keras.optimizers.SGD(1e4), metrics=None)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy, of_full_precision):
    exact = of_full_precision()
    keras.config.set_dtype_policy(policy)
    # A scale at which no step overflows: a skipped one would be missing here.
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**8)
    model = model_for_half_precision(optimizer)
    fit(model, epochs=1)
    assert int(model.step) == int(model.gate_optimizer.iterations) == 4
    # A few rounded products, of 11 or 8 bits, relative to the largest.
    unit = 2.0**-10 if policy == "mixed_float16" else 2.0**-7
    scale = np.abs(exact).max()
    assert scale > 1e-4
    np.testing.assert_allclose(logits_of(model), exact, atol=10 * unit * scale)


def test_step_that_overflows_is_skipped_by_both():
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**40)
    model = model_of(optimizer=optimizer)
    fit(model, epochs=1)
    np.testing.assert_array_equal(logits_of(model), [0, 0, 0])
    assert int(model.step) == int(model.gate_optimizer.iterations) == 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_look_ahead_step_starts_from_weights_that_are_not_updated_yet(steps, order):
    rule = bl.keras.HeldOut("mae", order=order, batch_size=10, seed=1)
    model = model_of(rule=rule, optimizer="sgd", jit_compile=False, steps_per_execution=steps)
    pairs = map(assert_reads_and_updates_are_ordered, optimized_graphs(lambda: fit(model, epochs=1)))
    assert max(pairs) > 20


# Saved and resumed: under XLA, because TensorFlow's own executor may add up the gradients of a gradient in either order


@pytest.mark.parametrize("way", ["xla", "xla-one-optimizer"], ids=["gate-optimizer", "one-optimizer"])
@pytest.mark.parametrize("mode", ["soft", "reinmax"])
def test_saved_and_continued_is_never_having_stopped(mode, way, trained):
    straight = trained(mode, way)
    resumed = keras.models.load_model(straight.saved.path, custom_objects={"Counted": Counted})
    assert resumed.held_out == straight.model.held_out
    assert_same_state(straight.saved.state, state_of(resumed))
    continued = fit(resumed, epochs=4, initial_epoch=2)
    assert_same_state(straight.state, state_of(resumed))
    for name, values in continued.items():
        np.testing.assert_array_equal(values, straight.history[name][2:], err_msg=name)


def test_killed_within_an_epoch_and_restored_from_a_backup(tmp_path, trained):
    class Killed(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.step) == 9:
                raise KeyboardInterrupt

    killed, restarted = (model_of(jit_compile=True) for _ in range(2))
    with pytest.raises(KeyboardInterrupt):
        fit(killed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Killed()])
    fit(restarted, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_state(trained("soft", "xla").state, state_of(restarted))


def test_checkpoint_holds_no_data(trained):
    straight = trained("soft", "xla")
    path = straight.saved.checkpoint
    assert not [name for name, shape in tf.train.list_variables(path) if 24 in shape]
    restored = model_of(jit_compile=True)
    restored.optimizer.build(restored.trainable_variables)
    tf.train.Checkpoint(model=restored).restore(path).assert_existing_objects_matched()
    fit(restored, epochs=4, initial_epoch=2)
    assert_same_state(straight.state, state_of(restored))


def test_rule_round_trip():
    rule = bl.keras.HeldOut(bl.losses.Huber(0.5), rate=0.1, order=1, batch_size=7, seed=-3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rule))
    assert copy == rule
    assert copy.get_config()["rate"] == 0.1


# Replicas


@pytest.mark.parametrize("mode", ["soft", "reinmax"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "scaled"])
def test_two_replicas_are_one_device(wrapped, mode, replicas):
    def model():
        optimizer = keras.optimizers.SGD(0.01)
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer
        gate = bl.gates.Learned(regularizers=[bl.gates.regularizers.Entropy(1e-3)])
        return model_of(mode, optimizer=optimizer, gate_optimizer=keras.optimizers.SGD(5.0), gate=gate)

    assert_two_replicas_are_one_device(model, fit, replicas)


# Mistakes


def test_fit_without_data_raises():
    with pytest.raises(ValueError, match="pass `held_out_data="):
        fit(model_of(), held_out_data=None)


def test_train_on_batch_without_data_raises():
    with pytest.raises(ValueError, match="call `set_held_out_data`"):
        model_of().train_on_batch(X, Y)


def test_data_without_a_rule_raises():
    model = bl.BlendedModel(network(), blend_of())
    model.compile("adam")
    with pytest.raises(ValueError, match="need a rule"):
        fit(model)


def test_gate_without_variables_raises():
    with pytest.raises(ValueError, match="`held_out` needs something that trains in the gate"):
        bl.BlendedModel(network(), blend_of(gate=bl.gates.Fixed([1, 1, 1])), held_out=bl.keras.HeldOut("mae"))


def test_frozen_gate_loads_and_refuses_to_train(tmp_path):
    model = model_of()
    fit(model, epochs=1)
    model.blend.gate.trainable = False
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="`held_out` needs something that trains in the gate"):
        fit(model)


def test_gate_that_the_loss_ignores_raises():
    class Deaf(bl.gates.Learned):
        def gating(self, context):
            return tf.stop_gradient(tf.convert_to_tensor(self.logits))

    with pytest.raises(ValueError, match="Nothing that trains in the gate acts on the training loss"):
        fit(model_of(gate=Deaf()))


def test_target_that_ignores_the_network_raises():
    rule = bl.keras.HeldOut(lambda y_true, y_pred: tf.reduce_mean(y_true, axis=-1))
    with pytest.raises(ValueError, match="must depend on the network"):
        fit(model_of(rule=rule))


def test_own_loss_of_a_subclass_is_not_ignored():
    class Own(bl.BlendedModel):
        def compute_loss(self, *arguments, **named):
            return super().compute_loss(*arguments, **named) + 1

    with pytest.raises(TypeError, match="override `blended_loss`"):
        model_of(cls=Own)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target": "no-such-loss"}, ValueError, "`target` must be the name"),
        ({"target": 3}, TypeError, "`target` must be a penalty"),
        ({"target": blend_of()}, TypeError, "not a blend"),
        ({"rate": 0.0}, ValueError, "`rate` must be positive"),
        ({"order": 0}, ValueError, "`order` must be one of"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
        ({"seed": 2**64}, ValueError, "`seed` must fit"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        bl.keras.HeldOut(**{"target": "mae", **arguments})


def test_rule_of_another_type():
    with pytest.raises(TypeError, match="`held_out` must be a HeldOut"):
        bl.BlendedModel(network(), blend_of(), held_out="mae")
