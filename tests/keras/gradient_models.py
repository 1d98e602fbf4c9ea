"""Models whose gates look at the gradient of each loss, or at progress."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Gate, GradientGate, Needs
from blendloss.losses import OutputLoss
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = {
    "depth": RNG.normal(size=(64, 1)).astype("float32"),
    "normal": (5 * RNG.normal(size=(64, 3))).astype("float32"),
    "label": RNG.integers(0, 5, size=64),
}
LOSSES = {"depth": "mse", "normal": "mae", "label": "sparse_categorical_crossentropy"}


@keras.saving.register_keras_serializable(package="tests.gradient_step")
class Inverse(GradientGate):
    """g_k = 1 / (1 + |G_k|)."""

    def weigh(self, gradients, context):
        return 1 / (1 + gradients.norms())


@keras.saving.register_keras_serializable(package="tests.gradient_step")
class Balanced(GradientGate):
    """Weights that train: d/dv of sum_k v_k |G_k| is |G_k|, as in GradNorm; the state is a mean of it."""

    usual_task_specific = "weighted"

    def create_state(self, k):
        super().create_state(k)
        self.v = self.add_weight(name="v", shape=(k,), initializer="ones")
        self.mean = self.add_state("mean", (k,))

    def weigh(self, gradients, context):
        self.mean.assign(0.9 * self.mean + 0.1 * tf.cast(gradients.mean_sizes(), self.mean.dtype))
        return tf.convert_to_tensor(self.v)

    def own_gradients(self, context):
        return [tf.cast(context.gradients.norms(), "float32")]


@keras.saving.register_keras_serializable(package="tests.gradient_step")
class Progress(Gate):
    """Weights 1 / (losses after the last update), and how often it was told them."""

    needs = Needs.PROGRESS
    stateful = True

    def create_state(self, k):
        self.seen = self.add_state("seen", (k,), 1)
        self.told = self.add_state("told", dtype="int64")

    def gating(self, context):
        return -tf.math.log(tf.convert_to_tensor(self.seen))

    def observe_progress(self, values):
        mean = tf.stack([values[name] for name in self.names])
        replica = tf.distribute.get_replica_context()
        self.seen.assign(replica.all_reduce("mean", mean))
        self.told.assign_add(1)


GATES = {
    "inverse": lambda: Inverse(),
    "inverse-weighted-every-3": lambda: Inverse(task_specific="weighted", every=3),
    "inverse-own-every-2": lambda: Inverse(every=2),
    "inverse-last": lambda: Inverse(variables="last"),
    "inverse-named": lambda: Inverse(variables=["trunk/*"]),
    "balanced": lambda: Balanced(),
    "progress": lambda: Progress(),
}


def network(regularizer=None, activity=None):
    inputs = keras.Input([4])
    trunk = keras.layers.Dense(8, "tanh", name="trunk", kernel_regularizer=regularizer, activity_regularizer=activity)(
        inputs
    )
    shared = keras.layers.Dense(6, "tanh", name="shared")(trunk)
    return keras.Model(
        inputs,
        {
            "depth": keras.layers.Dense(1, name="depth")(shared),
            "normal": keras.layers.Dense(3, name="normal")(shared),
            "label": keras.layers.Dense(5, "softmax", dtype="float32", name="label")(shared),
        },
    )


def blend_of(gate="inverse", mode=None, **named):
    return bl.Blend({name: OutputLoss(name, loss) for name, loss in LOSSES.items()}, GATES[gate](), mode, **named)


def model_of(gate="inverse", net=network, kind=bl.BlendedModel, mode=None, reduction="mean", **named):
    seed()
    model = kind(net(), blend_of(gate, mode, reduction=reduction))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.05), **named})
    return model


def fit(model, epochs=2, **named):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named).history


def assert_close(one, other, **tolerance):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, **{"rtol": 2e-5, "atol": 1e-6, **tolerance})  # eight steps of rounding


def gradients_by_hand(model, x=X, y=Y):
    """Each loss and its gradient in the network's variables, as a list of arrays or Nones, by a pass for each."""
    losses, gradients = [], []
    for name in LOSSES:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.get(LOSSES[name])(y[name], model.network(x, training=True)[name]))
        losses.append(float(loss))
        gradients.append(tape.gradient(loss, model.network.trainable_variables))
    return losses, gradients
