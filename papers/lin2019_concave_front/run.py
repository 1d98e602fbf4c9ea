"""Gradient descent on the two losses, weighed by a gate."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.lin2019_concave_front.config import Config
from papers.lin2019_concave_front.front import fixed_weights, losses, maximum_weights


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    starts = np.random.default_rng(seed).uniform(-0.5, 0.5, [config.solutions, config.dimension])
    found = []
    for which, start in enumerate(starts):
        # MGDA is told no preference: one descent is all of them.
        found.append(descent(config, arm, 0 if arm == "MGDA" else which)(start))
        progress((which + 1) / config.solutions)
    short, end = np.array(found).swapaxes(0, 1)
    return {"short": described(short), "end": described(end)}


def described(x: np.ndarray) -> dict[str, list[Any]]:
    """Of each solution the place s along the front, the distance beside it, and the losses."""
    direction = np.full(x.shape[1], x.shape[1] ** -0.5)
    s = x @ direction
    beside = np.linalg.norm(x - s[:, None] * direction, axis=1)
    values = [[float(value) for value in losses(tf.constant(one)).values()] for one in x]
    return {"s": s.tolist(), "beside": beside.tolist(), "losses": values}


class Descent:
    """Gives x after `steps`, and after `long_steps`, of descent from a start."""

    def __init__(self, config: Config, gate: bl.gates.Gate, rate: bl.schedules.Schedule) -> None:
        self.checkpoints = (0, config.steps, config.long_steps)
        self.blend = bl.Blend(["first", "second"], gate)
        self.rate = rate
        self.x = tf.Variable(tf.zeros([config.dimension], tf.float64))
        step = tf.TensorSpec([], tf.int32)
        # MGDA's solver takes many small operations a step, which XLA joins.
        compiled = tf.function(self.steps, jit_compile=config.compile and isinstance(gate, bl.gates.GradientGate))
        self.descend = compiled.get_concrete_function(step, step)

    def steps(self, begin: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        for step in tf.range(begin, end):
            with tf.GradientTape(persistent=True) as tape:
                values = losses(self.x)
            [gradient] = self.blend.gradients(tape, values, [self.x], step=step).gradients
            self.x.assign_sub(tf.cast(self.rate(step), self.x.dtype) * gradient)
        return self.x.read_value()

    def __call__(self, start: np.ndarray) -> list[np.ndarray]:
        self.x.assign(start)
        spans = zip(self.checkpoints, self.checkpoints[1:], strict=False)
        return [self.descend(tf.constant(begin), tf.constant(end)).numpy() for begin, end in spans]


@cache
def descent(config: Config, arm: str, which: int) -> Descent:
    """The descent to solution `which`; seeds share it."""
    return Descent(config, gate_of(config, arm, which), rate_of(config, arm))


def gate_of(config: Config, arm: str, which: int) -> bl.gates.Gate:
    count = config.solutions
    if arm == "linear":
        r = float(fixed_weights(count)[which])
        return bl.gates.Fixed([r, 1 - r], dtype="float64")
    if arm == "MGDA":
        return bl.gates.MGDA(dtype="float64")
    weights = maximum_weights(count)[which].tolist()
    if arm == "Tchebycheff":
        return bl.gates.Tchebycheff(weights, dtype="float64")
    return bl.gates.SmoothTchebycheff(config.smoothness, weights, dtype="float64")


def rate_of(config: Config, arm: str) -> bl.schedules.Schedule:
    """The authors' step of 1; one that vanishes where the gate jumps from loss to loss; one below 2 / curvature."""
    if arm == "Tchebycheff":
        return bl.schedules.exponential(1.0, 1e-7, steps=config.long_steps)
    if arm == "smooth Tchebycheff":
        return bl.schedules.constant(4 * config.smoothness)
    return bl.schedules.constant(1.0)
