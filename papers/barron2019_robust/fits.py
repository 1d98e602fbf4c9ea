"""The fits by descent: the notebooks' line through flipped points, and the test's Cauchy and normal columns."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

import blendloss as bl
from papers.barron2019_robust.config import Config

RATE, CHANNELS, QUANTILES = 0.01, 8, 100
JITTER = 1e-7


def points() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and which were flipped, of both notebooks."""
    random = np.random.RandomState(1)
    x = random.uniform(size=50)
    y = 0.7 * x + 0.15 + random.normal(scale=0.025, size=50)
    flipped = random.uniform(size=50) > 0.9
    return x, np.where(flipped, 0.05 + 0.4 * (1 - np.sign(y - 0.5)), y), flipped


def regression(config: Config, arm: str, seed: int) -> dict[str, Any]:
    """BlendMetrics of loss, alpha and scale, and the line at the end."""
    fit = _regression(config, arm)
    random = np.random.default_rng(seed)
    if "PyTorch" in arm:
        start = random.uniform(-1, 1, 2)  # of its linear layer
    else:
        start = random.normal(size=2) * JITTER if seed else np.zeros(2)
    readings = fit(start)
    shown: dict[str, list[float]] = {"step": list(range(0, len(readings), config.every))}
    for name, column in zip(("loss", "alpha", "scale"), readings[:: config.every, :-2].T, strict=False):
        shown[name] = [round(float(one), 7) for one in column]
    slope, intercept = map(float, readings[-1, -2:])
    return {**shown, "slope": slope, "intercept": intercept}


@functools.lru_cache(maxsize=1)
def _regression(config: Config, arm: str) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled fit: from `[slope, intercept]` to loss, of the adaptive one alpha and scale, and line, by steps."""
    dtype = "float64" if "float64" in arm else "float32"
    x, y, _ = points()
    design, truth = (tf.constant(one, dtype) for one in (np.stack([x, np.ones_like(x)], axis=1), y))
    adaptive = bl.losses.AdaptiveBarron(dtype=dtype) if arm.startswith("adaptive") else None
    blend = bl.Blend({"loss": adaptive or bl.losses.Barron(2.0, 0.1)}, bl.gates.Fixed([1.0]))
    line = keras.Variable(np.zeros(2), dtype=dtype)
    if "PyTorch" in arm:
        optimizer, steps = keras.optimizers.Adam(RATE, epsilon=1e-8), config.pytorch_steps
    else:
        optimizer, steps = keras.optimizers.Adam(RATE, 0.5, 0.9, epsilon=1e-8), config.tensorflow_steps

    def loss() -> tf.Tensor:
        return blend(truth, tf.linalg.matvec(design, tf.convert_to_tensor(line)), step=0)

    def read(value: tf.Tensor) -> tf.Tensor:
        shape = adaptive.alpha_and_scale() if adaptive else ()
        return tf.stack([value, *shape, *tf.unstack(tf.convert_to_tensor(line))])

    # The notebooks print what a step has left: what there is before the next one.
    fit = compiled_fit(loss, [line, *blend.trainable_variables], optimizer, steps + 1, read)
    return lambda start: fit(start)[1:]


def recovery(config: Config, seed: int) -> dict[str, Any]:
    """How far shape, scale and centre of 8 columns are from those of their laws, in units of 0.1 + 0.1 |true|.

    Seed 0 draws what the published test draws.
    """
    random = np.random.RandomState(seed)
    levels = (np.arange(QUANTILES)[:, np.newaxis] + 0.5) / QUANTILES
    center, cauchy = random.normal(size=CHANNELS), random.uniform(size=CHANNELS) <= 0.5
    scale = np.exp(np.clip(random.normal(size=CHANNELS), -3, 3))
    laws = np.where(cauchy, math.sqrt(2) * stats.cauchy.ppf(levels), stats.norm.ppf(levels))
    found = _recovery(config)(center + scale * laws)
    true = {"alpha": np.where(cauchy, 0.0, 2.0), "scale": scale, "center": center}
    return {
        name: float(np.max(np.abs(ours - one) / (0.1 + 0.1 * np.abs(one))))
        for (name, one), ours in zip(true.items(), found, strict=True)
    }


@functools.lru_cache(maxsize=1)
def _recovery(config: Config) -> Callable[[np.ndarray], np.ndarray]:
    """The compiled fit: from samples, `[100, 8]`, to shapes, scales and centres, `[3, 8]`."""
    adaptive = bl.losses.AdaptiveBarron(CHANNELS)
    blend = bl.Blend({"adaptive": adaptive}, bl.gates.Fixed([1.0]))
    samples = tf.Variable(tf.zeros([QUANTILES, CHANNELS]))
    center = keras.Variable(np.zeros(CHANNELS), dtype="float32")

    def loss() -> tf.Tensor:  # the sum of all elements
        return samples.shape.num_elements() * blend(samples, tf.zeros_like(samples) + center, step=0)

    variables, optimizer = [center, *blend.trainable_variables], keras.optimizers.Adam(0.1, epsilon=1e-8)
    fit = compiled_fit(loss, variables, optimizer, config.recovery_steps, lambda value: value)

    def to(columns: np.ndarray) -> np.ndarray:
        samples.assign(columns)
        fit(np.zeros(CHANNELS))
        return np.stack([*adaptive.alpha_and_scale(), center.numpy()])

    return to


def compiled_fit(
    loss: Callable[[], tf.Tensor],
    variables: Sequence[Any],
    optimizer: keras.Optimizer,
    steps: int,
    read: Callable[[tf.Tensor], tf.Tensor],
) -> Callable[[np.ndarray], np.ndarray]:
    """Full-batch descent, compiled once, from a value of the first variable and those of the others now.

    It gives what `read` makes of the loss before each step.
    """
    optimizer.build(variables)
    fresh = [(variable, variable.numpy()) for variable in (*variables, *optimizer.variables)]
    first = read(loss())

    @tf.autograph.experimental.do_not_convert  # the loop alone is to be converted: the library takes its time
    def advance() -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = loss()
        output = read(value)
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return output

    @tf.function(jit_compile=steps > 100)  # XLA takes longer to compile than a few steps take without
    def descend() -> tf.Tensor:
        readings = tf.TensorArray(first.dtype, steps, element_shape=first.shape)
        for step in tf.range(steps):
            readings = readings.write(step, advance())
        return readings.stack()

    def fit(start: np.ndarray) -> np.ndarray:
        for variable, value in fresh:
            variable.assign(value)
        variables[0].assign(start)
        return descend().numpy()

    return fit
