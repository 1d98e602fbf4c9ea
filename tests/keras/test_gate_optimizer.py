"""An optimizer of its own for what trains in the blend."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.models import SavedAfter, ScaledError, assert_two_replicas_are_one_device
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(64, 1))).astype("float32")


def model_of(optimizer="adam", gate_optimizer="sgd", cls=bl.BlendedModel, **named):
    seed()
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": "mae"}, bl.gates.Learned())
    inputs = keras.Input([4])
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    model = cls(keras.Model(inputs, keras.layers.Dense(1)(hidden)), blend)
    model.compile(optimizer, metrics=["mae"], gate_optimizer=gate_optimizer, **named)
    return model


def fit(model, epochs=2, **named):
    return model.fit(X, Y, epochs=epochs, **{"batch_size": 16, "shuffle": False, "verbose": 0, **named}).history


def logits_of(model):
    return model.blend.gate.logits.numpy()


def state_of(model):
    """Weights and the state of both optimizers, by path."""
    variables = [*model.weights, *model.optimizer.variables, *model.gate_optimizer.variables]
    return [(variable.path, variable.numpy()) for variable in variables]


def assert_same_state(expected, found):
    for (path, a), (_, b) in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=path)


def scaled(optimizer, **named):
    return keras.optimizers.LossScaleOptimizer(optimizer, **named)


# What it does


def test_two_equal_optimizers_train_as_one_does():
    one = model_of(keras.optimizers.Adam(0.01), None)
    two = model_of(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
    expected, found = fit(one), fit(two)
    assert found == expected
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_optimizer_has_its_own_learning_rate():
    base = model_of(keras.optimizers.SGD(0.5), None)
    before = base.get_weights()
    fit(base, epochs=1, batch_size=64)
    two = model_of(keras.optimizers.SGD(0.25), keras.optimizers.SGD(2.0))
    fit(two, epochs=1, batch_size=64)
    for old, one, found, weight in zip(before, base.get_weights(), two.get_weights(), base.weights, strict=True):
        if weight.trainable:
            ratio = 4.0 if weight is base.blend.gate.logits else 0.5  # learning rates 2.0 and 0.25, over 0.5
            np.testing.assert_allclose(found - old, ratio * (one - old), rtol=2e-5, atol=1e-6)


def test_callbacks_see_the_networks_optimizer():
    model = model_of(keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.5))
    fit(model, epochs=2, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.02 / (epoch + 1))])
    np.testing.assert_allclose(model.optimizer.learning_rate, 0.01)
    np.testing.assert_allclose(model.gate_optimizer.learning_rate, 0.5)
    assert int(model.optimizer.iterations) == int(model.gate_optimizer.iterations) == int(model.step) == 8
    assert model_of("adam", None).gate_optimizer is None


def test_moving_averages_replace_their_own_variables():
    model = model_of(keras.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.5), keras.optimizers.SGD(1.0))
    plain = model_of(keras.optimizers.SGD(0.01), keras.optimizers.SGD(1.0))
    fit(model, epochs=1)
    fit(plain, epochs=1)
    np.testing.assert_array_equal(logits_of(model), logits_of(plain))
    assert not np.allclose(model.network.get_weights()[0], plain.network.get_weights()[0])


def test_gate_optimizer_trains_the_variables_of_losses():
    blend = bl.Blend({"mse": "mse", "scaled": ScaledError()}, bl.gates.Fixed([1.0, 1.0]))
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
    model.compile(keras.optimizers.SGD(0.0), gate_optimizer=keras.optimizers.SGD(0.1))
    fit(model)
    assert [variable.numpy() != 1.0 for variable in blend.trainable_variables] == [True]


# Every way of running


class Counted(bl.BlendedModel):
    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.mark.parametrize("optimizer", ["adam", "scaled"])
def test_training_step_is_traced_once(optimizer):
    optimizer = scaled(keras.optimizers.Adam()) if optimizer == "scaled" else optimizer
    model = model_of(optimizer, "adam", Counted)
    for _ in range(2):
        fit(model)
    assert model.traces == 1


@pytest.fixture(scope="module")
def reference():
    """The history of the plain run."""
    return functools.cache(lambda: fit(model_of("adam", keras.optimizers.Adam(0.1))))


@pytest.mark.parametrize(
    "named",
    [{"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}],
    ids=lambda named: next(iter(named)),
)
def test_every_way_of_running_gives_the_same(named, reference):
    expected, found = reference(), fit(model_of("adam", keras.optimizers.Adam(0.1), **named))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_each_optimizer_accumulates_gradients_by_itself():
    network = keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)
    model = model_of(network, keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    fit(model)
    assert (int(model.step), int(model.gate_optimizer.iterations)) == (4, 2)  # 8 batches
    together = model_of(
        keras.optimizers.SGD(0.01, gradient_accumulation_steps=4),
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=4),
    )
    fit(together, epochs=1)
    whole = model_of(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.1))
    fit(whole, epochs=1, batch_size=64)
    np.testing.assert_allclose(logits_of(together), logits_of(whole), rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def unscaled():
    """The weights of a run without a scale."""

    @functools.cache
    def weights():
        model = model_of(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.1))
        fit(model)
        return model.get_weights()

    return weights


@pytest.mark.parametrize(
    "optimizer",
    [lambda: scaled(keras.optimizers.SGD(0.01)), lambda: keras.optimizers.SGD(0.01, loss_scale_factor=1024.0)],
    ids=["dynamic", "static"],
)
def test_gradients_of_the_gate_are_unscaled(optimizer, unscaled):
    found = model_of(optimizer(), keras.optimizers.SGD(0.1))
    fit(found)
    # The scale is a power of 2; but TensorFlow's optimizer of graphs orders products otherwise: 8 steps of rounding, of
    # sums whose terms may cancel: how far, differs between processors. So it is measured by the largest of a variable.
    for a, b in zip(unscaled(), found.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.max(np.abs(b)))


def test_step_that_overflows_is_skipped_by_both():
    keras.config.set_dtype_policy("mixed_float16")
    model = model_of(scaled(keras.optimizers.SGD(0.01), initial_scale=2.0**40), keras.optimizers.SGD(0.1))
    before = logits_of(model)
    fit(model, epochs=1)
    np.testing.assert_array_equal(logits_of(model), before)
    assert int(model.step) == int(model.gate_optimizer.iterations) == 0
    fit(model, epochs=10)
    assert 0 < int(model.step) == int(model.gate_optimizer.iterations) < 44
    assert np.isfinite(model.get_weights()[0]).all()
    assert (logits_of(model) != before).all()


# Saved and resumed


def continued_model(optimizer="plain"):
    network = keras.optimizers.AdamW(0.01)
    return model_of(scaled(network) if optimizer == "scaled" else network, keras.optimizers.Adam(0.1))


class SavedEveryWay(SavedAfter):
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if epoch + 1 == self.epochs:
            self.weights_file = self.path.with_suffix(".weights.h5")
            self.model.save_weights(self.weights_file)
            self.checkpoint = tf.train.Checkpoint(model=self.model).save(self.path.with_suffix(".checkpoint"))
            self.tree = self.model.get_state_tree("numpy_array")
            self.state = state_of(self.model)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of four epochs, saved after two in every way there is: its last state, and the callback that saved."""
    folder = tmp_path_factory.mktemp("straight")

    @functools.cache
    def run(optimizer="plain"):
        model, saved = continued_model(optimizer), SavedEveryWay(2, folder / f"{optimizer}.keras")
        fit(model, epochs=4, callbacks=[saved])
        return types.SimpleNamespace(state=state_of(model), saved=saved)

    return run


@pytest.mark.parametrize("optimizer", ["plain", "scaled"])
def test_a_saved_run_resumes_bit_for_bit(optimizer, straight):
    expected = straight(optimizer)
    resumed = keras.models.load_model(expected.saved.path)
    assert isinstance(resumed.gate_optimizer, keras.optimizers.Adam)
    assert_same_state(expected.saved.state, state_of(resumed))
    fit(resumed, epochs=4, initial_epoch=2)
    assert_same_state(expected.state, state_of(resumed))


def test_weights_file_and_checkpoint_hold_both_optimizers(straight):
    expected = straight()
    by_weights, by_checkpoint = continued_model(), continued_model()
    for model in (by_weights, by_checkpoint):
        model.optimizer.build(model.trainable_variables)
    by_weights.load_weights(expected.saved.weights_file)
    tf.train.Checkpoint(model=by_checkpoint).restore(expected.saved.checkpoint).assert_existing_objects_matched()
    for model in (by_weights, by_checkpoint):
        fit(model, epochs=4, initial_epoch=2)
        assert_same_state(expected.state, state_of(model))


class Killed(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise InterruptedError


def test_killed_run_is_continued(tmp_path, straight):
    killed, resumed = continued_model(), continued_model()
    with pytest.raises(InterruptedError):
        fit(killed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Killed()])
    fit(resumed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_state(straight().state, state_of(resumed))


def test_state_tree_holds_both_optimizers(straight):
    expected, resumed = straight(), continued_model()
    fit(resumed, epochs=1)
    tree = dict(expected.saved.tree)
    # Keras numbers the names that paths are made of.
    for optimizers in ("optimizer", "gate_optimizer"):
        (state,) = tree[f"{optimizers}_variables"].values()
        (name,) = resumed.get_state_tree()[f"{optimizers}_variables"]
        own = [v.path.removeprefix(f"{name}/") for v in getattr(resumed, optimizers).variables]
        tree[f"{optimizers}_variables"] = {name: dict(zip(own, state.values(), strict=True))}
    for gating_from_weights in ("trainable_variables", "non_trainable_variables", "metrics_variables"):
        del tree[gating_from_weights]
    resumed.set_weights(expected.saved.weights)
    resumed.set_state_tree(tree)
    fit(resumed, epochs=4, initial_epoch=2)
    assert_same_state(expected.state, state_of(resumed))


def test_frozen_after_compiling_still_loads(tmp_path):
    model = model_of()
    fit(model, epochs=1)
    model.blend.gate.trainable = False
    model.compile("adam")
    fit(model, epochs=1)
    model.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert not resumed.blend.trainable_variables
    np.testing.assert_array_equal(logits_of(resumed), logits_of(model))


# Replicas


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "scaled"])
def test_two_replicas_are_one_device(wrapped, replicas):
    def model():
        optimizer = keras.optimizers.SGD(0.01)
        return model_of(scaled(optimizer) if wrapped else optimizer, keras.optimizers.Adam(0.1))

    assert_two_replicas_are_one_device(model, fit, replicas)


# Mistakes


def test_nothing_to_train():
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))
    with pytest.raises(ValueError, match="`gate_optimizer` needs something that trains in the blend"):
        model.compile("adam", gate_optimizer="adam")


@pytest.mark.parametrize(
    "gate_optimizer",
    [scaled(keras.optimizers.SGD()), keras.optimizers.SGD(loss_scale_factor=2.0)],
    ids=["dynamic", "static"],
)
def test_second_scale_of_the_loss(gate_optimizer):
    with pytest.raises(ValueError, match="`gate_optimizer` must not scale the loss"):
        model_of("adam", gate_optimizer)


def test_one_optimizer_object_for_both_is_refused():
    adam = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="must be another object"):
        model_of(adam, adam)
