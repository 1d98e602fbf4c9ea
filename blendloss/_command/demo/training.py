"""Training one arm with one seed, and what is measured of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss import BlendedModel
from blendloss._command.demo.arms import Arm
from blendloss._command.demo.problem import TEST, TRAIN, VALIDATION, Part, Problem, errors
from blendloss._command.demo.settings import Settings
from blendloss._command.shares import ShareHistory, shares
from blendloss.gates import ScoreMatching
from blendloss.keras import GateHistory

_HIDDEN = (64, 64)
_EMBEDDING = 8
_LEARNING_RATE = 1e-3
_KEPT_STEPS = 250
_EVALUATION_BATCH = 8192
_SHOW_EVERY = 10

Progress = Callable[[int, float], None]
"""Told how many more steps were made, and the loss at present."""


class Counted(BlendedModel):
    """Counts how often its training step is traced: Python runs the step only then.

    Public by name only because Keras makes a scope name of it, which must not begin with an underscore.
    """

    traces = 0

    def train_step(self, data: Any) -> Any:
        self.traces += 1
        return super().train_step(data)


class _Report(keras.callbacks.Callback):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Reading the loss waits for the step, so it is not read after every step.
        if (batch + 1) % _SHOW_EVERY == 0:
            self.progress(_SHOW_EVERY, float(logs["loss"]))


def train(problem: Problem, arm: Arm, seed: int, settings: Settings, progress: Progress) -> dict[str, Any]:
    """Trains `arm`: a JSON-serializable record of its errors, weights, history and trajectory.

    All arms of a seed start from the same weights and see the same batches in the same order.
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(seed)
    blend = arm.blend(settings.steps)
    model = Counted(_network(problem), blend)
    model.compile(keras.optimizers.Adam(_LEARNING_RATE), metrics=["mae"], jit_compile=False)
    validation = _in_order(problem.parts[VALIDATION])
    gate: Any = blend.gate
    matched = isinstance(gate, ScoreMatching)
    kept = (ShareHistory if matched else GateHistory)(every=max(1, settings.steps // _KEPT_STEPS))
    history = model.fit(
        _batches(problem.parts[TRAIN], settings, seed),
        epochs=settings.epochs,
        steps_per_epoch=settings.steps_per_epoch,
        validation_data=validation,
        shuffle=False,  # the batches are shuffled already
        callbacks=[kept, _Report(progress)],
        verbose=0,
    ).history
    return {
        "arm": arm.name,
        "seed": seed,
        "test": _errors(model, problem, TEST),
        "validation": _errors(model, problem, VALIDATION),
        "weights": shares(blend) if matched else {name: float(history[f"gate/{name}"][-1]) for name in blend.names},
        "seconds": time.perf_counter() - started,
        "traces": model.traces,
        "history": {name: [float(value) for value in values] for name, values in history.items()},
        "trajectory": {"step": kept.steps, **{name: [round(w, 6) for w in kept.weights[name]] for name in blend.names}},
        "report": gate.report() if matched else None,
    }


def _network(problem: Problem) -> keras.Model:
    """A network of numbers and embedded categories, with two hidden layers and one output."""
    part = problem.parts[TRAIN]
    numbers = keras.Input((part.numbers.shape[1],), name="numbers")
    categories = keras.Input((part.categories.shape[1],), dtype="int32", name="categories")
    embedded = keras.layers.Embedding(max(1, problem.vocabulary), _EMBEDDING)(categories)
    flat = keras.layers.Reshape((part.categories.shape[1] * _EMBEDDING,))(embedded)  # Flatten fails without columns
    hidden = keras.layers.Concatenate()([numbers, flat])
    for width in _HIDDEN:
        hidden = keras.layers.Dense(width, "relu")(hidden)
    return keras.Model((numbers, categories), keras.layers.Dense(1)(hidden))


def _batches(part: Part, settings: Settings, seed: int) -> tf.data.Dataset:
    """The batches of all epochs, all of one shape for a single trace. Each epoch has its own order."""
    random = np.random.default_rng(seed)
    shape = (settings.steps_per_epoch, settings.batch)
    orders = [random.permutation(len(part.target))[: shape[0] * shape[1]] for _ in range(settings.epochs)]
    numbers, categories, target = (tf.constant(values) for values in part)
    rows = tf.data.Dataset.from_tensor_slices(np.concatenate(orders).astype(np.int32).reshape(-1, settings.batch))
    return rows.map(
        lambda batch: ((tf.gather(numbers, batch), tf.gather(categories, batch)), tf.gather(target, batch))
    ).prefetch(tf.data.AUTOTUNE)


def _in_order(part: Part) -> tf.data.Dataset:
    rows = tf.data.Dataset.from_tensor_slices(((part.numbers, part.categories), part.target))
    return rows.batch(_EVALUATION_BATCH)


def _errors(model: BlendedModel, problem: Problem, part: int) -> dict[str, float]:
    predicted = [model.network(inputs, training=False).numpy() for inputs, _ in _in_order(problem.parts[part])]
    return errors(problem.in_units(np.concatenate(predicted)), problem.target(part))
