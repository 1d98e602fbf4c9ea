"""Every network and every gate, built, saved, resumed and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras import models
from tests.keras.models import (
    GATES,
    SavedAfter,
    X,
    Y,
    assert_same,
    assert_same_weights,
    blend_of,
    evaluate_eagerly,
    model_of,
    network,
)


def fit(model, epochs=2, **named):
    """Without validation, unless it is asked for."""
    return models.fit(model, epochs, **{"validation_data": None, **named})


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **named):
        super().__init__(**named)
        self.dense, self.norm = keras.layers.Dense(1), keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.norm.build(input_shape)
        self.built = True

    def call(self, x, training=None):
        return self.dense(self.norm(x, training=training))


def functional():
    inputs = keras.Input([4])
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.BatchNormalization()(inputs)))


NETWORKS = {"sequential": network, "functional": functional, "subclassed": Subclassed}


class Unbuilt(keras.Model):
    """Without a `build`: its layers are built when it is called."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(8), keras.layers.Dense(1)

    def call(self, x):
        return self.out(self.hidden(x))


def test_a_network_without_a_build_of_its_own_is_built_by_a_call(tmp_path, recwarn):
    model = model_of("softadapt", net=Unbuilt)
    fit(model, epochs=1)
    model.save_weights(tmp_path / "model.weights.h5")
    restored = bl.BlendedModel(Unbuilt(), blend_of("softadapt"))
    restored.build((None, 4))  # in Keras it would only be marked as built, and load no weights
    restored.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(restored.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not [warning for warning in recwarn if "build" in str(warning.message)]


def test_a_network_of_rows_is_built_by_the_first_batch():
    class OfRows(Unbuilt):
        def call(self, rows):
            return self.out(self.hidden(tf.gather(X, rows)))  # takes no floats

    model = bl.BlendedModel(OfRows(), blend_of("learned"))
    model.compile("sgd")
    losses = model.fit(np.arange(64), Y, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert len(model.network.trainable_variables) == 4


@pytest.mark.parametrize("net", NETWORKS)
def test_a_saved_run_resumes_bit_for_bit(net, tmp_path):
    straight, stopped = model_of(net=NETWORKS[net]), model_of(net=NETWORKS[net])
    fit(straight, epochs=2)
    fit(stopped, epochs=1)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(resumed.predict(X, verbose=0), stopped.predict(X, verbose=0))
    fit(resumed, epochs=2, initial_epoch=1)
    assert_same_weights(straight, resumed)


@pytest.mark.parametrize(
    ("gate", "mode"), [*((gate, "annealed") for gate in GATES), ("learned", "reinmax"), ("scheduled", "hard")]
)
def test_every_gate_resumes_bit_for_bit(gate, mode, tmp_path):
    watches = hasattr(GATES[gate](), "monitor")
    straight = model_of(gate, mode, metrics=["mae"] if watches else None)
    saved = SavedAfter(2, tmp_path / "model.keras")
    history = fit(straight, epochs=4, callbacks=[saved], validation_data=(X, Y))
    resumed = keras.models.load_model(saved.path)
    assert_same(saved.weights, resumed.get_weights())
    # Only a gate that watches a metric is told of validation; evaluated are the others at the end.
    continued = fit(resumed, epochs=4, initial_epoch=2, validation_data=(X, Y) if watches else None)
    assert_same_weights(straight, resumed)
    assert set(continued) == {name for name in history if watches or not name.startswith("val_")}
    for name, values in continued.items():
        np.testing.assert_array_equal(values, history[name][2:], err_msg=name)
    np.testing.assert_equal(evaluate_eagerly(resumed), evaluate_eagerly(straight))


def test_killed_between_epochs_and_restored_from_a_backup(tmp_path):
    class Killed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    straight, killed, restarted = (model_of("learned", "annealed", net=functional) for _ in range(3))
    fit(straight, epochs=4)
    with pytest.raises(KeyboardInterrupt):
        fit(killed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Killed()])
    fit(restarted, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_weights(straight, restarted)


def test_weights_alone_keep_gate_and_step(tmp_path):
    model = model_of("plateau")
    fit(model, epochs=3, validation_data=(X, Y))
    model.save_weights(tmp_path / "model.weights.h5")
    other = bl.BlendedModel(network(), blend_of("plateau"))
    other.build((None, 4))
    other.load_weights(tmp_path / "model.weights.h5")
    assert int(other.step) == int(model.step) == 12
    assert int(other.blend.gate.stage) == int(model.blend.gate.stage)


@pytest.mark.filterwarnings("ignore:.*__array__.*:DeprecationWarning")
@pytest.mark.parametrize("net", ["sequential", "functional"])
def test_exported_is_the_network(net, tmp_path, capfd):
    model = model_of("fixed", net=NETWORKS[net])
    fit(model, epochs=1)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_frozen_gate_stays_frozen_with_its_optimizer(tmp_path):
    model = model_of("learned")
    model.blend.gate.trainable = False
    model.compile("adam")
    fit(model, epochs=1)
    model.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert not resumed.blend.gate.trainable
    assert int(resumed.optimizer.iterations) == 4


def test_compiling_again_keeps_the_step():
    model = model_of()
    fit(model)
    model.compile("sgd")
    assert int(model.step) == 8
