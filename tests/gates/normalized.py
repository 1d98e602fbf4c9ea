"""`Learned` gates that normalize their losses, under test: every normalizer, blends, and residuals."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Learned, normalizers

LOSSES = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}
LOGITS = [0.4, -0.3]
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum()
NORMALIZERS = {
    "initial": lambda: normalizers.InitialValue(),
    "running": lambda: normalizers.RunningMean(memory=5),
    "rms": lambda: normalizers.RootMeanSquare(memory=5),
    "likelihood": lambda: normalizers.Likelihood(),
    "likelihood-scale": lambda: normalizers.Likelihood([0.5, 2.0]),
}
every_normalizer = pytest.mark.parametrize("name", NORMALIZERS)
EPS = 2.0**-23
STEPS = 12
RESIDUALS = (np.random.default_rng(0).normal(size=(STEPS, 8, 1)) * np.linspace(3, 1, STEPS)[:, None, None]).astype(
    np.float32
)


def blend_of(normalize, initial=None, losses=LOSSES, mode=None, regularize=(), dtype="float32", **options):
    return bl.Blend(
        losses, Learned(initial, normalize=normalize, regularizers=regularize, dtype=dtype), mode, **options
    )


def compute(blend, residual, **options):
    residual = tf.convert_to_tensor(residual)
    return blend.compute(tf.zeros_like(residual), residual, **{"step": 0, **options})


def sizes(residual):
    residual = np.float64(residual)
    return np.array([np.mean(residual**2), np.mean(np.abs(residual))])


def state_of(blend):
    return {variable.name: variable.numpy() for variable in blend.gate.variables}


def fitted(residual, normalize, steps=300):
    """The shares and the gate, trained on residuals that do not change."""
    blend, optimizer = blend_of(normalize), keras.optimizers.Adam(0.05)
    optimizer.build(blend.trainable_variables)

    @tf.function
    def step(values):
        with tf.GradientTape() as tape:
            value = compute(blend, values, step=optimizer.iterations).value
        gradients = tape.gradient(value, [variable.value for variable in blend.trainable_variables])
        optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))

    for _ in range(steps):
        step(tf.constant(residual, tf.float32))
    return tf.nn.softmax(blend.gate.logits).numpy(), blend.gate
