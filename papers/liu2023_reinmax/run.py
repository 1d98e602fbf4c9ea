"""Adam on the logits of the latents, an epoch at a time in one compiled function."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import tensorflow as tf

from papers.liu2023_reinmax.config import Config, parts
from papers.liu2023_reinmax.estimators import expected, objective


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    epoch = _epoch(config, arm)
    shape = [config.latents, 2]
    logits = tf.random.stateless_uniform(shape, [seed, 0], -config.start, config.start)
    state = (logits, tf.zeros(shape), tf.zeros(shape))
    losses, curve = [], [float(expected(logits, _loss(config, arm)))]
    for number in range(config.epochs):
        state, loss, after = epoch(state, tf.constant(number, tf.int64), tf.constant(seed, tf.int64))
        losses.append(float(loss))
        curve.append(float(after))
        progress((number + 1) / config.epochs)
    return {
        "steps": config.epochs * config.steps_per_epoch,
        "training loss": losses[-1],
        "expected loss": curve[-1],
        "training losses": [round(loss, 6) for loss in losses],
        "expected losses": [round(loss, 6) for loss in curve],
    }


def _loss(config: Config, arm: str) -> Callable[[tf.Tensor], tf.Tensor]:
    p, _ = parts(arm)
    return lambda z: abs(z - config.center) ** p


@lru_cache(maxsize=1)  # an arm's seeds follow one another
def _epoch(config: Config, arm: str) -> Callable[..., tuple[tf.Tensor, ...]]:
    """An epoch: the state after it, the mean training loss in it, the expected loss after it."""
    loss = _loss(config, arm)
    follow = objective(parts(arm)[1], loss)
    steps = config.steps_per_epoch

    @tf.function(jit_compile=True)
    def epoch(state: tuple[tf.Tensor, ...], number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        total = tf.constant(0.0)
        for one in tf.range(steps):
            step = number * steps + tf.cast(one, tf.int64)
            noise = seed * config.epochs * steps + step  # other steps for each seed, so other noise
            with tf.GradientTape() as tape:
                tape.watch(state[0])
                logits = tf.broadcast_to(state[0], [config.batch, config.latents, 2])
                followed, value = follow(logits, noise)
            state = _adam(state, tape.gradient(followed, state[0]), step, config.learning_rate)
            total += value
        return state, total / steps, expected(state[0], loss)

    return epoch


def _adam(state: tuple[tf.Tensor, ...], gradient: tf.Tensor, step: tf.Tensor, rate: float) -> tuple[tf.Tensor, ...]:
    """Kingma and Ba's algorithm 1 as PyTorch has it; Keras's epsilon is larger, and is added before the correction."""
    parameters, first, second = state
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    count = tf.cast(step + 1, tf.float32)
    scale = tf.sqrt(second / (1 - 0.999**count)) + 1e-8
    return parameters - rate * first / (1 - 0.9**count) / scale, first, second
