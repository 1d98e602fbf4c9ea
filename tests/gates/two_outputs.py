"""A network of two outputs, for tests of gates that look at its gradients."""

from __future__ import annotations

import keras
import numpy as np

import blendloss as bl
from blendloss.losses import OutputLoss

RNG = np.random.default_rng(0)
CONFLICT = np.array([[1, 0.2, 0.1], [-0.8, 1, 0.3], [-0.3, -0.9, 1.2]])
X = RNG.normal(size=(32, 3)).astype("float32")
Y = {"a": RNG.normal(size=(32, 1)).astype("float32"), "b": (4 * RNG.normal(size=(32, 2))).astype("float32")}


def network_of_two_outputs():
    inputs = keras.Input([3])
    shared = keras.layers.Dense(5, "tanh", name="shared")(keras.layers.Dense(6, "tanh", name="trunk")(inputs))
    return keras.Model(
        inputs, {"a": keras.layers.Dense(1, name="a")(shared), "b": keras.layers.Dense(2, name="b")(shared)}
    )


def blend_of_two_outputs(gate):
    return bl.Blend({"a": OutputLoss("a", bl.losses.SquaredError()), "b": OutputLoss("b", bl.losses.Huber())}, gate)


def model_of(gate, **named):
    keras.utils.set_random_seed(0)
    model = bl.BlendedModel(network_of_two_outputs(), blend_of_two_outputs(gate))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.01), **named})
    return model
