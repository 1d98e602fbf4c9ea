"""Losses of several outputs, under test: outputs of different ranks, a blend of their losses, and sums in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import blendloss as bl
from blendloss.losses import OutputLoss

RNG = np.random.default_rng(0)
#: Outputs of other ranks: a number, a vector and a map of vectors for each of 6 examples.
TRUE = {
    "depth": RNG.normal(size=(6, 1)).astype("float32"),
    "normal": RNG.normal(size=(6, 3)).astype("float32"),
    "map": RNG.normal(size=(6, 4, 2)).astype("float32"),
}
PREDICTED = {name: (value + RNG.normal(size=value.shape)).astype("float32") for name, value in TRUE.items()}
WEIGHTS = [1.0, 10.0, 0.5]
SAMPLE = np.linspace(0, 2, 6).astype("float32")
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]
# A mean of a mean of at most 48 numbers in float32, K = 3 of them added.
ROUNDING: dict[str, Any] = {"rtol": 16 * 2.0**-23, "atol": 0}


def output_losses(keys=("depth", "normal", "map")):
    losses = [bl.losses.SquaredError(), "mae", keras.losses.Huber(delta=0.5)]
    return {name: OutputLoss(key, loss) for name, key, loss in zip(TRUE, keys, losses, strict=True)}


def blend_of(gate=None, keys=("depth", "normal", "map"), **named):
    return bl.Blend(output_losses(keys), bl.gates.Fixed(WEIGHTS) if gate is None else gate, **named)


def by_element():
    """The values of each loss by NumPy, `[batch, ...]`."""
    residuals = {name: PREDICTED[name].astype("float64") - TRUE[name] for name in TRUE}
    huber = np.abs(residuals["map"])
    huber = np.where(huber <= 0.5, huber**2 / 2, 0.5 * huber - 0.125)
    return [(residuals["depth"] ** 2).mean(-1), np.abs(residuals["normal"]).mean(-1), huber.mean(-1)]


def reduced(values, weights=None, reduction="mean"):
    weights = np.ones_like(values) if weights is None else np.broadcast_to(weights, values.shape)
    total = (values * weights).sum()
    return total / {"sum": 1, "mean_with_sample_weight": weights.sum()}.get(reduction, values.size)


def spread(weights, values):
    return None if weights is None else np.reshape(weights, [-1] + [1] * (values.ndim - 1))
