"""A whole training in one compiled function."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.blendloss2026_switching.blends import BLENDS
from papers.blendloss2026_switching.config import Config
from papers.blendloss2026_switching.data import Problem


class Trainer:
    """One arm on problems of so many features: traced once, and started anew with each problem."""

    def __init__(self, config: Config, arm: str, features: int) -> None:
        self.config = config
        hidden = keras.layers.Dense(config.hidden, "tanh")
        self.network = keras.Sequential([keras.Input([features]), hidden, keras.layers.Dense(1)])
        self.blend = BLENDS[arm](config.steps)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
        self.optimizer = keras.optimizers.Adam(schedule, beta_2=config.beta_2)
        self.gate_optimizer = keras.optimizers.Adam(config.gate_learning_rate, beta_2=0.9)
        self.optimizer.build(self.network.trainable_variables)
        self.gate_optimizer.build(self.blend.trainable_variables)
        changing = (self.network, self.blend, self.optimizer, self.gate_optimizer)
        self.state = [variable for one in changing for variable in one.variables]
        inputs, targets = tf.TensorSpec([None, features]), tf.TensorSpec([None, 1])
        rows = tf.TensorSpec([config.steps // config.every, config.every, config.batch], tf.int32)
        signature = [inputs, targets, inputs, targets, inputs, rows]  # traced once, whatever the number of rows
        self.compiled = tf.function(self._train, signature, jit_compile=config.xla)
        self.start = [np.array(variable) for variable in self.state]

    def train(self, problem: Problem, seed: int) -> tuple[np.ndarray, float]:
        """Predictions of the test part, and Huber's mean weight over the steps."""
        for variable, value in zip(self.state, self.start, strict=True):
            variable.assign(value)
        random = np.random.default_rng([seed, 1])
        for kernel in (layer.kernel for layer in self.network.layers):
            limit = np.sqrt(6 / sum(kernel.shape))  # Glorot's
            kernel.assign(random.uniform(-limit, limit, kernel.shape))
        rows = np.stack([random.permutation(len(problem.x))[: self.config.batch] for _ in range(self.config.steps)])
        rows = rows.reshape(-1, self.config.every, self.config.batch).astype(np.int32)
        predicted, weight = self.compiled(*problem.inputs, rows)
        return predicted.numpy()[:, 0], float(weight)

    def _train(
        self, x: tf.Tensor, y: tf.Tensor, held_x: tf.Tensor, held_y: tf.Tensor, test_x: tf.Tensor, rows: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        weight = tf.constant(0.0)
        for block in rows:
            for batch in block:
                weight += self._step(tf.gather(x, batch), tf.gather(y, batch)) / self.config.steps
            if isinstance(self.blend.gate, bl.gates.MetricGate):
                self.blend.gate.observe(tf.reduce_mean(tf.abs(held_y - self.network(held_x))))
        return self.network(test_x), weight

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """An update; gives the weight of the last loss."""
        variables, trained = self.network.trainable_variables, self.blend.trainable_variables
        with tf.GradientTape() as tape:
            reading = self.blend.read(y, self.network(x), step=self.optimizer.iterations)
        gradients = tape.gradient(reading.value, variables + trained)
        self.optimizer.apply(gradients[: len(variables)], variables)
        if trained:
            self.gate_optimizer.apply(gradients[len(variables) :], trained)
        return reading.weights[-1]


@cache
def trainer(config: Config, arm: str, features: int) -> Trainer:
    """The one of this worker."""
    return Trainer(config, arm, features)
