"""What `fit`, `evaluate` and `predict` do on several workers, and a step whose gradients XLA compiles."""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from tests.keras.models import GATES, MODES, X, Y
from tests.workers.cases import state_of

_DATA = {"batch_size": 16, "shuffle": False, "verbose": 0}


def _model(strategy: tf.distribute.Strategy) -> bl.BlendedModel:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
        losses = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": "mae"}
        model = bl.BlendedModel(network, bl.Blend(losses, GATES["relobralo"]()))
        model.compile(keras.optimizers.SGD(0.01), metrics=["mae"])
    return model


def fitted(strategy: tf.distribute.Strategy, folder: pathlib.Path, task: int) -> dict[str, np.ndarray]:
    """History, metrics and predictions of a model, and the model's state."""
    model = _model(strategy)
    history = model.fit(X[:32], Y[:32], epochs=2, **_DATA).history
    evaluated = model.evaluate(X, Y, batch_size=32, verbose=0, return_dict=True)
    found: dict[str, Any] = {f"history of {name}": value for name, value in history.items()}
    found |= {f"evaluated {name}": value for name, value in evaluated.items()}
    found["predicted"] = model.predict(X[:24], batch_size=16, verbose=0)
    return {name: np.asarray(value) for name, value in (found | state_of(model)).items()}


def resumed(strategy: tf.distribute.Strategy, folder: pathlib.Path, task: int) -> dict[str, np.ndarray]:
    """The state of a model after four epochs, of which the last two are those of a model that was restored."""
    model = _model(strategy)
    for epochs in (2, 4):
        model = _model(strategy)
        model.fit(X, Y, epochs=epochs, callbacks=[backup(folder, task)], **_DATA)
    return state_of(model)


def unbroken(strategy: tf.distribute.Strategy, folder: pathlib.Path, task: int) -> dict[str, np.ndarray]:
    """What `resumed` would be without a break."""
    model = _model(strategy)
    model.fit(X, Y, epochs=4, **_DATA)
    return state_of(model)


def compiled(strategy: tf.distribute.Strategy, folder: pathlib.Path, task: int) -> dict[str, np.ndarray]:
    """The state of a model after some steps, in which XLA compiles what has no collectives."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        network = keras.Sequential([keras.Input([4]), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
        losses = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": bl.losses.AbsoluteError()}
        model = bl.BlendedModel(network, bl.Blend(losses, GATES["learned"](), MODES["soft"]()))
        model.compile(keras.optimizers.SGD(0.01))
        model.optimizer.build(model.trainable_variables)
    x, y = tf.constant(X), tf.constant(Y)

    @tf.function(jit_compile=True, autograph=False)
    def gradients(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = model.blend(y, network(x), step=model.step)
        return tape.gradient(loss, model.trainable_variables)

    def replica_step() -> None:
        replica = tf.distribute.get_replica_context()
        size = 64 // replica.num_replicas_in_sync
        first = replica.replica_id_in_sync_group * size
        found = gradients(x[first : first + size], y[first : first + size])
        model.optimizer.apply_gradients(zip(found, model.trainable_variables, strict=True))

    step = tf.function(lambda: strategy.run(replica_step), autograph=False)
    for _ in range(4):
        step()
    return state_of(model)


def backup(folder: pathlib.Path, task: int) -> keras.callbacks.Callback:
    """The first worker saves; all restore what it saved."""
    every = "epoch" if task == 0 else 10**9
    return keras.callbacks.BackupAndRestore(folder / "backup", save_freq=every, delete_checkpoint=False)


FITS = {"fit": fitted, "xla": compiled, "resumed": resumed, "unbroken": unbroken}
