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
    """A blend on problems of so many features: traced once, and started anew with each problem."""

    def __init__(self, config: Config, blend: bl.Blend, features: int, layers: int = 1) -> None:
        self.config = config
        self.blend = blend
        hidden = [keras.layers.Dense(config.hidden, "tanh") for _ in range(layers)]
        self.network = keras.Sequential([keras.Input([features]), *hidden, keras.layers.Dense(1)])
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
        self.compiled = tf.function(self._train, signature, jit_compile=config.xla).get_concrete_function()
        self.start = [np.array(variable) for variable in self.state]

    def train(self, problem: Problem, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Predictions of the test part, and the losses' mean weights over the steps."""
        for variable, value in zip(self.state, self.start, strict=True):
            variable.assign(value)
        random = np.random.default_rng([seed, 1])
        for kernel in (layer.kernel for layer in self.network.layers):
            limit = np.sqrt(6 / sum(kernel.shape))  # Glorot's
            kernel.assign(random.uniform(-limit, limit, kernel.shape))
        rows = np.stack([self._batch(len(problem.x), random) for _ in range(self.config.steps)])
        rows = rows.reshape(-1, self.config.every, self.config.batch).astype(np.int32)
        predicted, weights = self.compiled(*self._inputs(problem), rows)
        return predicted.numpy()[: len(problem.test_x), 0], weights.numpy()

    def _batch(self, examples: int, random: np.random.Generator) -> np.ndarray:
        return random.permutation(examples)[: self.config.batch]

    def _inputs(self, problem: Problem) -> tuple[np.ndarray, ...]:
        return problem.inputs

    def _train(
        self, x: tf.Tensor, y: tf.Tensor, held_x: tf.Tensor, held_y: tf.Tensor, test_x: tf.Tensor, rows: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        weights = tf.zeros([len(self.blend.names)])
        self._first_look(held_x, held_y)
        for block in rows:
            for batch in block:
                weights += self._step(tf.gather(x, batch), tf.gather(y, batch)) / self.config.steps
            self._look(held_x, held_y)
        return self.network(test_x), weights

    def _first_look(self, held_x: tf.Tensor, held_y: tf.Tensor) -> None:
        return  # nothing before the first step; AutoGraph, which rewrites this, needs a statement

    def _look(self, held_x: tf.Tensor, held_y: tf.Tensor) -> None:
        if isinstance(self.blend.gate, bl.gates.MetricGate):
            self.blend.gate.observe(tf.reduce_mean(tf.abs(held_y - self.network(held_x))))

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """An update; gives the weights of the losses."""
        variables, trained = self.network.trainable_variables, self.blend.trainable_variables
        with tf.GradientTape() as tape:
            output = self.blend.compute(y, self.network(x), step=self.optimizer.iterations)
        gradients = tape.gradient(output.value, variables + trained)
        self.optimizer.apply(gradients[: len(variables)], variables)
        if trained:
            self.gate_optimizer.apply(gradients[len(variables) :], trained)
        return output.weights


@cache
def trainer(config: Config, arm: str, features: int) -> Trainer:
    """The one of this worker."""
    return Trainer(config, BLENDS[arm](config.steps), features)
