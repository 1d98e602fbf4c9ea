"""A model whose gate follows a held-out loss, its data, and how it is fitted."""

import keras
import numpy as np

import blendloss as bl
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(64, 1))).astype("float32")
X_HELD_OUT = RNG.normal(size=(24, 4)).astype("float32")
Y_HELD_OUT = (X_HELD_OUT @ [[1.0], [2.0], [3.0], [4.0]]).astype("float32")
HELD_OUT = (X_HELD_OUT, Y_HELD_OUT)
MODES = {
    "soft": lambda: bl.modes.Soft(),
    "sparsemax": lambda: bl.modes.Soft(bl.modes.sparsemax),
    "concrete": lambda: bl.modes.Annealed(bl.schedules.exponential(5.0, 0.1, steps=30), seed=3),
    "hard": lambda: bl.modes.Hard(),
    "reinmax": lambda: bl.modes.Hard(bl.modes.ReinMax(2)),
}


def network(*layers):
    inputs = keras.Input([4])
    outputs = keras.layers.Dense(8, activation="tanh")(inputs)
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, keras.layers.Dense(1)(outputs))


def blend_of(mode="soft", gate=None):
    losses = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": "mae"}
    return bl.Blend(losses, gate or bl.gates.Learned(), MODES[mode]())


def model_of(mode="soft", rule=None, net=network, gate=None, cls=bl.BlendedModel, **named):
    seed()
    rule = rule or bl.keras.HeldOut("mae", batch_size=10, seed=1)
    model = cls(net(), blend_of(mode, gate), held_out=rule)
    named = {"optimizer": "adam", "gate_optimizer": keras.optimizers.Adam(0.1), "metrics": ["mae"], **named}
    model.compile(**named)
    return model


def fit(model, epochs=2, **named):
    data = {"held_out_data": HELD_OUT, "batch_size": 16, "shuffle": False, "verbose": 0, **named}
    return model.fit(X, Y, epochs=epochs, **data).history


def logits_of(model):
    return model.blend.gate.logits.numpy()
