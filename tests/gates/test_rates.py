"""What gates that follow the rates of the losses share: ratios, smoothing, skipped steps, constant weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from blendloss.gates._from_values._rate_gate import ratio, smoothed
from tests.gates.values import FLOAT64_ROUNDING, blend_of, compute, precise, train


def test_ratios_at_their_ends():
    largest = np.finfo(np.float32).max
    found = ratio(tf.constant([6.0, 0.0, 0.0, 1.0, -1.0, 1e30]), tf.constant([3.0, 0.0, 2.0, 0.0, 0.0, 1e-30]))
    np.testing.assert_array_equal(found, np.float32([2, 1, 0, largest, -largest, largest]))


def test_smoothing_is_the_mean_of_the_weights():
    old, new = np.log([1.0, 3.0]), np.array([0.0, -np.inf])
    np.testing.assert_allclose(
        np.exp(smoothed(tf.constant(old), tf.constant(new), 0.75)), [1, 9 / 4], rtol=FLOAT64_ROUNDING
    )
    for share, expected in ((0.0, new), (1.0, old)):
        np.testing.assert_allclose(smoothed(tf.constant(old), tf.constant(new), share), expected, rtol=FLOAT64_ROUNDING)


def test_skipped_steps_are_counted():
    for gate in (gates.DWA(2), gates.SoftAdapt(), gates.ReLoBRaLo(seed=0)):
        blend = blend_of(gate, 2)
        for step, losses in enumerate([[1.0, 1.0], [math.nan, 1.0], [1.0, 1.0], [math.inf, 1.0]]):
            train(blend, losses, step=step)
        assert int(gate.skipped) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: gates.SoftAdapt(2.0, order=1, every=1, loss_weighted=True),
        lambda: gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2),
        lambda: gates.DWA(1, sliding=True),
        lambda: gates.DWA(1),
        lambda: gates.Random(seed=0),
        lambda: gates.Normalized("rms"),
    ],
    ids=["softadapt", "relobralo", "dwa-sliding", "dwa", "random", "normalized"],
)
def test_weights_are_constants_of_the_step(make):
    blend = blend_of(precise(make()), 2)
    train(blend, [2.0, 3.0], dtype="float64")
    x = tf.Variable([1.5, -0.5], dtype=tf.float64)
    with tf.GradientTape() as tape:
        losses = {"a": tf.reduce_sum(x**2), "b": tf.reduce_sum(tf.abs(x))}
        output = blend.compute_from_values(losses, step=1)
    expected = float(output.weights[0]) * 2 * x.numpy() + float(output.weights[1]) * np.sign(x)
    np.testing.assert_allclose(tape.gradient(output.value, x), expected, rtol=FLOAT64_ROUNDING)
    assert not np.allclose(output.weights, [1, 1]) or isinstance(blend.gate, gates.DWA)


def test_an_evaluation_needs_no_training_first():
    for gate in (gates.SoftAdapt(), gates.ReLoBRaLo(seed=0), gates.DWA(3), gates.Random(seed=0), gates.Normalized()):
        weights = compute(blend_of(gate, 2), [1.0, 9.0]).weights
        np.testing.assert_allclose(weights, [0.5, 0.5] if isinstance(gate, gates.Random) else [1, 1])
