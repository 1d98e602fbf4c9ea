"""Gates that look at gradients, under test: losses with given gradients, and a training step of a blend of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tests.gates.values import falling


class Steps(NamedTuple):
    """Of some training steps: gradients `[steps, K, D]`, losses `[steps, K]`, K jacobians `[steps, N_k, D]`."""

    gradients: np.ndarray
    losses: np.ndarray
    jacobians: tuple[np.ndarray, ...]

    def of(self, order):
        """With the losses in another order."""
        return Steps(self.gradients[:, order], self.losses[:, order], tuple(self.jacobians[k] for k in order))

    def at(self, step, dtype="float32") -> tuple[Any, Any, Any]:
        given = self.gradients[step], self.losses[step], tuple(jacobian[step] for jacobian in self.jacobians)
        return tf.nest.map_structure(lambda values: tf.constant(values, dtype), given)


def steps_of(k, number, size=6, seed=0) -> Steps:
    """Steps whose losses fall, each at a rate of its own; of 2, 4, 6, ... residuals."""
    random = np.random.default_rng(seed)
    gradients = random.normal(size=(number, k, size)) * 2.0 ** np.arange(k)[:, np.newaxis]
    jacobians = tuple(random.normal(size=(number, 2 * (j + 1), size)) * 2.0**j for j in range(k))
    return Steps(gradients, falling(k, number - 1), jacobians)


def with_gradient(gradient, value):
    """A function of w of the given value and gradient, wherever w is."""

    @tf.custom_gradient
    def loss(w):
        return value + 0 * tf.reduce_sum(w), lambda upstream: upstream * gradient

    return loss


def train(blend, variable, gradients, losses=None, jacobians=(), step=0, rate=0.0):
    """A training step: the combined gradient in `variable`, `[D]`, and the output.

    The losses have the given `gradients`, `[K, D]`, and are 1 where no `losses` are given; `jacobians` are those of
    their residuals, `[N_k, D]` each; what trains in the gate moves by gradient descent with `rate`.
    """
    gradients = tf.convert_to_tensor(gradients)
    k = len(blend.names)
    losses = tf.ones([k], gradients.dtype) if losses is None else losses
    with tf.GradientTape(persistent=True) as tape:
        w = tf.convert_to_tensor(variable)
        values = {name: with_gradient(gradients[i], losses[i])(w) for i, name in enumerate(blend.names)}
        residuals = {name: tf.linalg.matvec(jacobians[i], w) for i, name in enumerate(blend.names) if jacobians}
    variables = [variable, *blend.trainable_variables]
    found = blend.gradients(tape, values, variables, step=step, residuals=residuals or None)
    replica = tf.distribute.get_replica_context()
    for of_gate, gradient in zip(variables[1:], found.gradients[1:], strict=True):
        if replica is not None and replica.num_replicas_in_sync > 1:
            gradient = replica.all_reduce("sum", gradient)
        of_gate.assign(tf.convert_to_tensor(of_gate) - tf.cast(rate * gradient, of_gate.dtype))
    return found.gradients[0], found.output
