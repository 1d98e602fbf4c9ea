"""Adam on the residual and the boundary, weighed by the arm's gate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.wang2021_pinn.config import Config
from papers.wang2021_pinn.problem import SPREAD, grid, initialize, losses, network, solution

GATES: dict[str, Callable[[], bl.gates.Gate]] = {
    "equal": lambda: bl.gates.Fixed([1.0, 1.0]),
    # The official code's rule: with the present weight in the denominator, over weight matrices, every 10 steps.
    "annealing": lambda: bl.gates.LRAnnealing(
        "code", reference="residual", momentum=0.9, variables=["*kernel"], every=10
    ),
    # The settings that its paper has for its Helmholtz problem.
    "ReLoBRaLo": lambda: bl.gates.ReLoBRaLo(alpha=0.99, temperature=1e-5, expected_rho=0.99, seed=0),
    # Of ratios, as PhysicsNeMo-Sym has it: the slopes of losses of size 7000 would be all or nothing.
    "SoftAdapt": lambda: bl.gates.SoftAdapt(1.0, rate="ratio", total=None),
    "uncertainty": lambda: bl.gates.Uncertainty(),
}
#: The methods whose first run keeps its field for the picture.
DRAWN = ("equal", "annealing")


class Training:
    """A network, a blend and an optimizer with their compiled loop; every seed starts them anew."""

    def __init__(self, config: Config, size: str, method: str) -> None:
        self.config = config
        self.network = network(*map(int, size.split("x")))
        self.blend = bl.Blend(["residual", "boundary"], gate=GATES[method]())
        self.variables = self.network.trainable_variables + self.blend.trainable_variables
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 1000, 0.9)
        self.optimizer = keras.optimizers.Adam(rate, epsilon=1e-8)
        self.optimizer.build(self.variables)
        kept = [*self.blend.variables, *self.optimizer.variables]
        self._start = [(variable, np.array(variable)) for variable in kept]
        self.advance = tf.function(self._advance, jit_compile=config.jit)

    def restart(self, seed: int) -> None:
        """All as before the first step, but for the network, which is drawn by `seed`."""
        for variable, value in self._start:
            variable.assign(value)
        initialize(self.network, seed)

    def _advance(self, seed: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes `steps` steps; gives the means of the weights and of the losses over them."""
        weights = values = tf.zeros([2])
        left = steps
        while left > 0:  # XLA would compile a range of steps anew for each number of them
            left -= 1
            step = self.optimizer.iterations
            with tf.GradientTape(persistent=True) as tape:
                now = losses(self.network, self.config.batch, [seed, tf.cast(step, tf.int32)])
            found = self.blend.gradients(tape, now, self.variables, step=step)
            self.optimizer.apply_gradients(zip(found.gradients, self.variables, strict=True))
            weights, values = weights + found.output.weights, values + found.output.losses
        count = tf.cast(steps, tf.float32)
        return weights / count, values / count


@functools.lru_cache(maxsize=1)
def _training(config: Config, size: str, method: str) -> Training:
    return Training(config, size, method)


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    size, method = arm.split()
    training = _training(config, size, method)
    training.restart(seed)
    steps: list[int] = []
    weights: list[list[float]] = []
    means: list[list[float]] = []
    for begin in range(0, config.steps, config.every):
        count = min(config.every, config.steps - begin)
        found = training.advance(tf.constant(seed), tf.constant(count))
        steps.append(begin + count)
        for kept, one in zip((weights, means), found, strict=True):
            kept.append([_rounded(number) for number in one.numpy()])
        progress((begin + count) / config.steps)
    result = {"error": _error(training.network, config.grid), "steps": steps, "weights": weights, "losses": means}
    if seed == 0 and method in DRAWN and size == f"{config.hidden_layers}x{config.widths[0]}":
        result["field"] = [round(float(u), 4) for u in _values(training.network, grid(config.drawn_grid))]
    return result


def _error(net: keras.Sequential, size: int) -> float:
    """|u - u*| / |u*| in Euclidean norms over the grid."""
    exact = solution(grid(size)).numpy()[:, 0].astype(float)
    return float(np.linalg.norm(_values(net, grid(size)) - exact) / np.linalg.norm(exact))


def _values(net: keras.Sequential, points: tf.Tensor) -> np.ndarray:
    return net(points / SPREAD).numpy()[:, 0].astype(float)


def _rounded(number: float) -> float:
    return float(f"{number:.4g}")
