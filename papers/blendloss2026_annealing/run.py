"""All networks of an arm, trained to the end: errors, lambdas and losses on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from papers.blendloss2026_annealing.candidates import CANDIDATES
from papers.blendloss2026_annealing.config import Config
from papers.blendloss2026_annealing.stack import Stack
from papers.blendloss2026_annealing.train import Training, solution
from papers.wang2021_pinn.problem import grid


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    size, name = arm.split(" ", 1)
    seeds = range(seed * config.networks, (seed + 1) * config.networks)
    training = Training(CANDIDATES[name], size, seeds, config.batch, config.jit)
    steps, course = [], []
    records: dict[str, list[list[float]]] = {"lambda": [], "residual": [], "boundary": []}
    for begin in range(0, config.steps, config.every):
        count = min(config.every, config.steps - begin)
        means = training.advance(tf.constant(count))
        steps.append(begin + count)
        for kept, one in zip(records.values(), means, strict=True):
            kept.append(_rounded(one))
        course.append(_rounded(errors(training.stack, grid(config.grid))))
        progress((begin + count) / config.steps)
    return {
        "seeds": list(seeds),
        "errors": errors(training.stack, grid(config.grid)).numpy().astype(float).tolist(),
        "errors, finer grid": _rounded(errors(training.stack, grid(2 * config.grid))),
        "steps": steps,
        "course": course,
        **records,
    }


def errors(stack: Stack, points: tf.Tensor) -> tf.Tensor:
    """|u - u*| / |u*| in Euclidean norms over `points` `[n, 2]`, for each network, float64."""
    exact = tf.cast(solution(points), tf.float64)
    u = tf.cast(stack(tf.cast(points, stack.dtype)[None]), tf.float64)
    return tf.norm(u - exact, axis=1) / tf.norm(exact)


def _rounded(numbers: tf.Tensor) -> list[float]:
    return [float(f"{number:.4g}") for number in np.asarray(numbers)]
