"""`Normalized`: what it divides losses by, and the choice among them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import blendloss as bl
from blendloss import gates
from blendloss.gates import normalizers
from tests.gates.values import FLOAT64_ROUNDING, blend_of, falling, precise, state_of, train


@pytest.mark.parametrize("name", ["initial", "running", "rms"])
def test_normalized_is_what_an_untrained_learned_gate_divides_by(name):
    losses = falling(3, 5)
    fixed, learned = gates.Normalized(name, [1, 1, 1]), gates.Learned(normalize=name)
    blends = [blend_of(gate, 3) for gate in (fixed, learned)]
    for step, given in enumerate(losses):
        one, other = (train(blend, given, step=step) for blend in blends)
        np.testing.assert_allclose(one.weights, 3 * other.weights, rtol=1e-6)
        np.testing.assert_allclose(one.value, 3 * other.value, rtol=1e-6)
    for (_, a), (_, b) in zip(sorted(state_of(fixed).items()), sorted(_untrained(learned).items()), strict=True):
        np.testing.assert_array_equal(a, b)


def _untrained(gate):
    return {name: values for name, values in state_of(gate).items() if name != "logits"}


def test_root_mean_squares_are_those_of_the_weighted_past():
    losses, memory = falling(2, 9), 4.0
    blend = blend_of(precise(gates.Normalized(normalizers.RootMeanSquare(memory))), 2)
    weights = [train(blend, given, dtype="float64").weights.numpy() for given in losses]
    for step in range(len(losses)):
        past = (1 - 1 / memory) ** np.arange(step, -1, -1)
        root = np.sqrt(past @ losses[: step + 1] ** 2 / past.sum())
        np.testing.assert_allclose(weights[step], 1 / root, rtol=FLOAT64_ROUNDING)


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_squares_of_large_and_small_losses(size):
    blend = blend_of(gates.Normalized("rms"), 2)
    for factor in (3.0, 4.0):
        output = train(blend, [factor * size, 1.0])
    np.testing.assert_allclose(output.losses[0] * output.weights[0], 4 / math.sqrt((9 * 0.99 + 16) / 1.99), rtol=1e-5)


@pytest.mark.parametrize("mode", [bl.modes.Hard(), bl.modes.Soft()], ids=["hard", "soft"])
def test_a_choice_goes_by_preference_whatever_the_units(mode):
    for units in (1.0, 1e-6, 1e6):
        blend = blend_of(gates.Normalized("initial", [1, 2]), 2, mode)
        output = train(blend, [units, 3.0])
        relative = output.weights.numpy() * [units, 3.0]
        np.testing.assert_allclose(relative, [0, 3] if isinstance(mode, bl.modes.Hard) else [1, 2], rtol=1e-6)


def test_a_weight_of_0_keeps_a_loss_out():
    blend = blend_of(gates.Normalized(weights=[1, 0]), 2)
    assert float(train(blend, [4.0, math.nan]).value) == 1


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        pytest.param(lambda: gates.Normalized("likelihood"), ValueError, "normalize", id="likelihood"),
        pytest.param(lambda: gates.Normalized("first"), ValueError, "normalize", id="unknown name"),
        (lambda: gates.Normalized(None), TypeError, "normalize"),
        (lambda: gates.Normalized(weights=[1, -1]), ValueError, r"weights\[1\]"),
        (lambda: gates.Normalized(weights=[0, 0]), ValueError, "weights"),
        (lambda: normalizers.RootMeanSquare(0.5), ValueError, "memory"),
        (lambda: normalizers.RootMeanSquare("9"), TypeError, "memory"),
    ],
)
def test_a_bad_argument_is_named(make, error, name):
    with pytest.raises(error, match=f"`{name}` must"):
        make()
