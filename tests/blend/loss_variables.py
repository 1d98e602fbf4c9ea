"""Losses that hold variables, and a network to train them with."""

import keras
import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(256, 2)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) + RNG.laplace(scale=5.0, size=(256, 1))).astype("float32")


@keras.saving.register_keras_serializable("tests.loss_variables")
class Laplace(keras.losses.Loss):
    """Laplace's law with a scale that trains."""

    def __init__(self, kind="keras", **named):
        super().__init__(**named)
        self.kind = kind
        self.log_b = (keras.Variable if kind == "keras" else tf.Variable)(0.0, name="log_b")

    def call(self, y_true, y_pred):
        log_b = tf.convert_to_tensor(self.log_b)
        return tf.reduce_mean(tf.abs(y_pred - y_true) * tf.exp(-log_b) + log_b, -1)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


class LaplaceLayer(keras.Layer):
    """The same as a layer, which Keras tracks."""

    def __init__(self):
        super().__init__()
        self.log_b = self.add_weight(name="log_b", initializer="zeros")

    def call(self, y_true, y_pred):
        return Laplace.call(self, y_true, y_pred)


def network():
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(1, kernel_initializer="zeros")])
