"""Runs with random layers, in the network and in the gate, continue bit for bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._internal.seeds import SavesSeeds

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 3)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0]]).astype("float32")


def dropping(units):
    return keras.Sequential(
        [keras.Input([3]), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(units)]
    )


def model():
    gate = bl.gates.Network(dropping(2))
    made = bl.BlendedModel(dropping(1), bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber()}, gate))
    made.compile("adam")
    made.optimizer.build(made.trainable_variables)
    return made


def fit(model, epochs, **named):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named)


def assert_same(model, expected):
    for value, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


def by_weights(saved, path):
    saved.save_weights(path / "of.weights.h5")
    other = model()
    other.load_weights(path / "of.weights.h5")
    return other


def by_model(saved, path):
    saved.save(path / "model.keras")
    return keras.models.load_model(path / "model.keras")


def by_checkpoint(saved, path):
    prefix = tf.train.Checkpoint(model=saved).write(str(path / "checkpoint"))
    other = model()
    tf.train.Checkpoint(model=other).read(prefix).assert_consumed()
    return other


@pytest.mark.parametrize("way", [by_weights, by_model, by_checkpoint])
def test_dropout_continues(way, tmp_path):
    keras.utils.set_random_seed(0)
    one = model()
    fit(one, 1)
    keras.utils.set_random_seed(5)  # which the seeds of a new model follow
    other = way(one, tmp_path)
    fit(one, 2)
    fit(other, 2)
    assert_same(other, one.get_weights())


class Killed(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_killed_run_continues(tmp_path):
    keras.utils.set_random_seed(0)
    whole = model()
    fit(whole, 4)
    keras.utils.set_random_seed(0)
    with pytest.raises(KeyboardInterrupt):
        fit(model(), 4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Killed()])
    keras.utils.set_random_seed(5)
    resumed = model()
    fit(resumed, 4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same(resumed, whole.get_weights())


def test_a_blend_alone_is_checkpointed_with_its_seeds(tmp_path):
    x = tf.constant(X)

    def blend():
        return bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber()}, bl.gates.Network(dropping(2)))

    one, other = blend(), blend()
    one(Y, 0 * Y, step=0, features=x)
    prefix = tf.train.Checkpoint(blend=one).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(blend=other).read(prefix).assert_consumed()
    assert float(one(Y, 0 * Y, step=1, features=x)) == float(other(Y, 0 * Y, step=1, features=x))


def test_weights_of_a_file_without_seeds_load(tmp_path, monkeypatch):
    one, other = model(), model()
    monkeypatch.setattr(SavesSeeds, "save_own_variables", keras.Layer.save_own_variables)
    one.save_weights(tmp_path / "old.weights.h5")
    other.load_weights(tmp_path / "old.weights.h5")
    assert_same(other, one.get_weights())
