"""Variables that a Keras loss holds are trained and saved with the blend."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl


@keras.saving.register_keras_serializable(package="tests")
class Laplace(keras.losses.Loss):
    def __init__(self, kind="keras", **named):
        super().__init__(**named)
        self.kind = kind
        self.log_b = keras.Variable(0.0) if kind == "keras" else tf.Variable(0.0)

    def call(self, y_true, y_pred):
        log_b = tf.convert_to_tensor(self.log_b)
        return tf.reduce_mean(tf.abs(y_true - y_pred) * tf.exp(-log_b) + log_b, -1)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


@pytest.mark.parametrize("head", [False, True], ids=["blend", "head"])
@pytest.mark.parametrize("kind", ["keras", "tf"])
def test_a_scale_is_trained_and_saved(kind, head, tmp_path):
    y = np.random.default_rng(0).laplace(0, 5, (256, 1)).astype("float32")
    loss = Laplace(kind)
    blend = bl.Blend({"laplace": bl.losses.Columns(loss, 0) if head else loss}, bl.gates.Fixed([1.0]))
    network = keras.Sequential(
        [keras.layers.Input((1,)), keras.layers.Dense(1, trainable=False, kernel_initializer="zeros")]
    )
    model = bl.BlendedModel(network, blend)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(np.zeros_like(y), y, epochs=40, verbose=0)
    right = np.log(np.abs(y).mean())
    np.testing.assert_allclose(float(tf.convert_to_tensor(loss.log_b)), right, atol=0.05)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.blend.get_weights(), model.blend.get_weights())
    again = loaded.blend.trainable_variables[0]
    again.assign(2.0)
    np.testing.assert_allclose(loaded.blend([[0.0]], [[1.0]], step=0), np.exp(-2) + 2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["keras", "tf"])
def test_a_fresh_blend_has_variables_of_its_own(kind):
    blend = bl.Blend({"laplace": Laplace(kind)}, bl.gates.Fixed([1.0]))
    blend.trainable_variables[0].assign(2.0)
    np.testing.assert_allclose(blend.fresh()([[0.0]], [[1.0]], step=0), 1.0)
    np.testing.assert_allclose(blend([[0.0]], [[1.0]], step=0), np.exp(-2) + 2, rtol=1e-6)
