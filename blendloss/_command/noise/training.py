"""Training of one arm, seed after seed, and its measurements."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss import BlendedModel
from blendloss._command.contaminated import Contaminated
from blendloss._command.noise.arms import Arm, Density
from blendloss._command.noise.data import FEATURES, Data, Part
from blendloss._command.noise.settings import Settings
from blendloss._command.shares import ShareHistory
from blendloss.gates import ExponentialFamily, Mixture, ScoreMatching
from blendloss.keras import GateHistory

LIMIT = 3.0
_POINTS = 401

Progress = Callable[[int, float], None]
"""A function that receives the number of new steps and the current loss."""


class _Report(keras.callbacks.Callback):
    def __init__(self, progress: Progress, steps: int) -> None:
        super().__init__()
        self.progress = progress
        self.steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.progress(self.steps, float(logs["loss"]))


class Trainer:
    """Trains one arm with several seeds. One model is traced once and reset for each seed."""

    def __init__(self, arm: Arm, settings: Settings) -> None:
        self.arm, self.settings = arm, settings
        self.blend = arm.blend()
        rule = None if arm.held_out is None else arm.held_out(min(settings.batch, settings.held_out))
        self.model = BlendedModel(_network(settings), self.blend, held_out=rule)
        trains = bool(self.blend.trainable_variables)
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.steps)
        self.model.compile(
            keras.optimizers.Adam(rate),
            gate_optimizer=keras.optimizers.Adam(settings.gate_learning_rate) if trains else None,
            # For a network of this size, XLA's compilation takes longer than it saves.
            jit_compile=False,
            steps_per_execution=settings.steps_per_epoch,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        optimizers = [one for one in (self.model.optimizer, self.model.gate_optimizer) if one is not None]
        self.variables = self.model.variables + [variable for one in optimizers for variable in one.variables]
        self.start = [np.array(variable) for variable in self.variables]

    def train(self, data: Data, seed: int, progress: Progress) -> dict[str, Any]:
        """A JSON-serializable record of a training: its test error, weights, trajectory, and the noise it found.

        All arms of a seed start from the same network, and train on the same batches in the same order.
        """
        started = time.perf_counter()
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(seed)
        self.model.network.set_weights(_network(self.settings).get_weights())
        gate: Any = self.blend.gate
        matched = isinstance(gate, ScoreMatching)
        kept = ShareHistory() if matched else GateHistory()
        self.model.fit(
            _batches(data.train, self.settings, seed),
            epochs=self.settings.epochs,
            steps_per_epoch=self.settings.steps_per_epoch,
            shuffle=False,  # the batches are already shuffled
            callbacks=[kept, _Report(progress, self.settings.steps_per_epoch)],
            verbose=0,
            **({} if self.arm.held_out is None else {"held_out_data": tuple(data.held_out)}),
        )
        return {
            "arm": self.arm.name,
            "seed": seed,
            "rmse": _rms(self._predicted(data.test) - data.test.y),
            "found": self._found(),
            "noise": self._noise(data.train),
            "diagnosis": self._diagnosis(data.train),
            "report": gate.report() if matched else None,
            "seconds": time.perf_counter() - started,
            "trajectory": {
                "step": kept.steps,
                "weights": {name: [round(w, 6) for w in weights] for name, weights in kept.weights.items()},
            },
        }

    def _predicted(self, part: Part) -> np.ndarray:
        return np.asarray(self.model.network(part.x, training=False))

    def _found(self) -> dict[str, Any]:
        """The gate's final parameters: weights by name, and scales if it has any."""
        gate: Any = self.blend.gate
        if isinstance(gate, Mixture):
            weights, scales = gate.proportions_and_scales()
        elif isinstance(gate, ExponentialFamily):
            weights, scales = gate.weights_and_scale()
        else:
            resting = gate.batch_independent_gating()
            weights, scales = self.blend.mode(resting.logits, None), resting.scale
        named = dict(zip(self.blend.names, np.asarray(weights, np.float64).tolist(), strict=True))
        return {"weights": named, "scales": None if scales is None else np.asarray(scales, np.float64).tolist()}

    def _noise(self, train: Part) -> dict[str, Any] | None:
        """The noise law that the arm implies, compared with the true one."""
        if self.arm.law is None:
            return None
        log_density = self.arm.law(self.blend, self._predicted(train) - train.y)
        truth = self.settings.noise
        r = truth.grid()
        drawn = drawn_at(truth)
        return {
            "divergence": truth.mean(truth.log_density(r) - log_density(r), r),
            "beyond": _beyond(log_density),
            "r": drawn.round(3).tolist(),
            "log_density": log_density(drawn).round(4).tolist(),
        }

    def _diagnosis(self, train: Part) -> dict[str, Any]:
        step = self.model.step
        output = self.blend.compute(train.y, self._predicted(train), step=step, training=False)
        found = self.blend.diagnose(output, step=step, held_out=self.arm.held_out is not None)
        return {"collapsed": found.collapsed, "sentence": found.sentence}


def numbers_of(run: dict[str, Any]) -> dict[str, float]:
    """The numbers of a training to compare, by name."""
    noise = run["noise"] or {}
    measured = {name: noise[name] for name in ("divergence", "beyond") if name in noise}
    return {"test RMSE": run["rmse"], **run["found"]["weights"], **measured}


def drawn_at(noise: Contaminated) -> np.ndarray:
    """Points at which densities are drawn: up to 7 standard deviations of the narrow part or 3.5 of the broad part."""
    reach = max(7.0, 3.5 * noise.width if noise.share > 0 else 0.0)
    return np.sinh(np.linspace(-1, 1, _POINTS) * np.arcsinh(reach))


def _beyond(log_density: Density) -> float:
    """P(|r| > LIMIT), by Simpson's rule for the part inside."""
    r = np.linspace(-LIMIT, LIMIT, 1201)
    weights = np.ones(len(r))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return float(1 - np.sum(weights * np.exp(log_density(r))) * (r[1] - r[0]) / 3)


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error.astype(np.float64)))))


def _network(settings: Settings) -> keras.Model:
    hidden = [keras.layers.Dense(settings.hidden, "relu") for _ in range(2)]
    return keras.Sequential([keras.Input((FEATURES,)), *hidden, keras.layers.Dense(1)])


def _batches(part: Part, settings: Settings, seed: int) -> tf.data.Dataset:
    """The batches of all epochs; each epoch has its own order."""
    random = np.random.default_rng([seed, 1])
    shape = (settings.steps_per_epoch, settings.batch)
    rows = np.stack([random.permutation(len(part.y))[: shape[0] * shape[1]] for _ in range(settings.epochs)])
    rows = rows.reshape(-1, settings.batch)
    return tf.data.Dataset.from_tensor_slices((part.x[rows], part.y[rows]))
