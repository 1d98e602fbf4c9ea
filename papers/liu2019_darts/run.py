"""Alternating descent of the toy, the gate by `look_ahead_gradient`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

import blendloss as bl
from papers.liu2019_darts.config import Config


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    xi = float(arm.removeprefix("xi = "))
    rate = config.learning_rate
    alpha, w = (tf.Variable(value, dtype=tf.float64) for value in config.start)

    def trained(parameters: list[tf.Tensor]) -> tf.Tensor:
        return (parameters[0] - alpha) ** 2  # w^2 - 2 alpha w + alpha^2

    def validated(parameters: list[tf.Tensor]) -> tf.Tensor:
        return alpha * parameters[0] - 2 * alpha + 1

    @tf.function
    def path() -> tf.Tensor:
        places = tf.TensorArray(tf.float64, config.steps + 1, element_shape=[2])
        places = places.write(0, tf.stack([alpha, w]))
        for step in tf.range(config.steps):
            [slope] = bl.look_ahead_gradient(trained, validated, [w], [alpha], rate=xi)
            alpha.assign_sub(tf.multiply(slope, rate))
            with tf.GradientTape() as tape:
                loss = trained([w])
            w.assign_sub(rate * tape.gradient(loss, w))
            places = places.write(step + 1, tf.stack([alpha, w]))
        return places.stack()

    places = path.get_concrete_function()().numpy()
    end = places[-1]
    shown = places[np.unique(np.geomspace(1, config.steps + 1, 201).astype(int)) - 1]  # it moves at the beginning
    return {
        "alpha": end[0],
        "w": end[1],
        "validation loss": end[0] * end[1] - 2 * end[0] + 1,
        "path": shown.tolist(),
    }
