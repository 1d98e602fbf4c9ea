"""Gates that follow a held-out loss: every way of running them, saving and resuming, replicas."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.held_out import (
    HELD_OUT,
    X_HELD_OUT,
    Y_HELD_OUT,
    X,
    Y,
    fit,
    logits_of,
    model_of,
)
from tests.keras.models import SavedAfter, assert_two_replicas_are_one_device
from tests.keras.optimized_graphs import assert_reads_and_updates_are_ordered, optimized_graphs


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
def test_a_saved_run_resumes_bit_for_bit(mode, way, trained):
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
