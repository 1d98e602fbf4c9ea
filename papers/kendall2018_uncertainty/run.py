"""A Keras model of two heads, trained by `fit` on the blend of their squared errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.kendall2018_uncertainty.config import ARMS, Config
from papers.kendall2018_uncertainty.data import TASKS, drawn

#: Where the fits are drawn.
GRID = np.linspace(-2.6, 2.4, 51)


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    keras.utils.set_random_seed(seed)
    form, line = ARMS[arm]
    network = two_heads(0 if line else config.width)
    gate = bl.gates.Uncertainty(form)
    losses = {task: bl.losses.OutputLoss(task, bl.losses.SquaredError()) for task in TASKS}
    model = bl.BlendedModel(network, bl.Blend(losses, gate))
    if line:  # all data at once and a rate that vanishes: to the minimum itself
        steps, batch = config.line_steps, config.examples
        rate = keras.optimizers.schedules.CosineDecay(config.line_learning_rate, steps)
        # As sigma grows, the gradients shrink a hundredfold; the usual memory of 1000 steps would hold the line back.
        optimizer = keras.optimizers.Adam(rate, beta_2=0.9)
    else:
        steps, batch = config.steps, config.batch
        optimizer = keras.optimizers.Adam(config.learning_rate)
    model.compile(optimizer, jit_compile=True, steps_per_execution=config.every)
    # An epoch of `fit` is `every` steps here: it keeps the gate's weights once an epoch.
    epochs = steps // config.every
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: progress((epoch + 1) / epochs))
    history = model.fit(
        batches(config.examples, batch, seed),
        epochs=epochs,
        steps_per_epoch=config.every,
        shuffle=False,  # the data come shuffled
        callbacks=[told],
        verbose=0,
    ).history
    fits = network(GRID[:, None])
    factor = {"geometric": 1.0, "regression": 0.5}[form]  # of the weight, over 1 / sigma^2
    return {
        **{f"sigma of {task}": float(sigma) for task, sigma in zip(TASKS, gate.sigmas(), strict=True)},
        "steps": [config.every * (epoch + 1) for epoch in range(epochs)],
        "sigmas": {task: rounded(np.sqrt(factor / np.array(history[f"gate/{task}"]))) for task in TASKS},
        "fits": {task: rounded(fits[task][:, 0]) for task in TASKS},
        **({f"line of {task}": [float(v) for v in lines(network, task)] for task in TASKS} if line else {}),
    }


def two_heads(width: int) -> keras.Model:
    """A hidden layer of ReLUs below two linear heads; of width 0, two lines."""
    inputs = keras.Input([1])
    hidden = keras.layers.Dense(width, "relu")(inputs) if width else inputs
    return keras.Model(inputs, {task: keras.layers.Dense(1, name=task)(hidden) for task in TASKS})


def batches(examples: int, size: int, seed: int) -> tf.data.Dataset:
    """Batches of the data for ever, in another order each time."""
    x, y = drawn(examples)
    data = tf.data.Dataset.from_tensor_slices((x.astype("float32"), {k: v.astype("float32") for k, v in y.items()}))
    return data.cache().shuffle(examples, seed).batch(size, drop_remainder=True).repeat()


def lines(network: keras.Model, task: str) -> tuple[float, float]:
    """Slope and intercept of a head of width 0."""
    slope, start = network.get_layer(task).get_weights()
    return slope[0, 0], start[0]


def rounded(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in np.asarray(values)]
