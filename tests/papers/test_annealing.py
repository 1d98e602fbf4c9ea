"""The candidates of the annealing study: stacked networks do what single ones with the library's gate do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from papers.blendloss2026_annealing.candidates import BASELINE, CANDIDATES, EQUAL, Candidate
from papers.blendloss2026_annealing.train import Training
from papers.wang2021_pinn import run as single
from papers.wang2021_pinn.config import SMOKE

SEEDS = (3, 5)
STEPS = 35
SIZE = "2x6"


def stacked(candidate: Candidate, steps: int = STEPS) -> Training:
    training = Training(candidate, SIZE, SEEDS, SMOKE.batch, jit=False)
    training.advance(tf.constant(steps))
    return training


@pytest.mark.parametrize(("name", "method"), [(BASELINE, "annealing"), (EQUAL, "equal")])
def test_stacked_networks_are_the_single_ones(name, method):
    training = Training(CANDIDATES[name], SIZE, SEEDS, SMOKE.batch, jit=False)
    weight, residual, boundary = training.advance(tf.constant(STEPS))
    alone = single.Training(dataclasses.replace(SMOKE, jit=False), SIZE, method)
    for place, seed in enumerate(SEEDS):
        alone.restart(seed)
        weights, losses = alone.advance(tf.constant(seed), tf.constant(STEPS))
        np.testing.assert_allclose([1.0, weight[place]], weights, rtol=1e-4)
        np.testing.assert_allclose([residual[place], boundary[place]], losses, rtol=1e-4)
        for kernel, layer in zip(training.stack.kernels, alone.network.layers, strict=True):
            np.testing.assert_allclose(kernel[place], layer.kernel, atol=1e-4)


def by_hand(found, layers, own):
    """The ratio that lambda is moved to, in NumPy: kernels alone, the mean over layers of each one's mean."""
    largest = np.max([np.abs(one).max((1, 2)) for one in found.of_residual[:layers]], axis=0)
    return largest / (own * np.mean([np.abs(one).mean((1, 2)) for one in found.of_boundary[:layers]], axis=0))


def test_each_rule_by_hand():
    training = stacked(CANDIDATES[BASELINE])
    found = training._gradients(training._points(tf.constant(7)))
    gradients = type(found)(*(np.array(part) if tf.is_tensor(part) else [np.array(g) for g in part] for part in found))
    weight = np.array([2.0, 3.0], np.float32)
    whole = [np.concatenate([np.abs(g).reshape(2, -1) for g in part], axis=1) for part in gradients[2:]]
    layers = len(training.stack.kernels)
    kernels = [np.concatenate([np.abs(g).reshape(2, -1) for g in part[:layers]], axis=1) for part in gradients[2:]]
    both = [[*part[:layers], *part[layers:]] for part in gradients[2:]]
    expected = {
        BASELINE: 0.9 * weight + 0.1 * by_hand(gradients, layers, weight),
        "no own weight": 0.9 * weight + 0.1 * by_hand(gradients, layers, 1),
        "0.9 on the new": 0.1 * weight + 0.9 * by_hand(gradients, layers, weight),
        "one mean": 0.9 * weight + 0.1 * kernels[0].max(1) / (weight * kernels[1].mean(1)),
        "as the paper": 0.1 * weight + 0.9 * whole[0].max(1) / (weight * whole[1].mean(1)),
        "biases count": 0.9 * weight
        + 0.1
        * np.max([np.abs(g).max((1, 2)) for g in both[0]], axis=0)
        / (weight * np.mean([np.abs(g).mean((1, 2)) for g in both[1]], axis=0)),
    }
    for name, aim in expected.items():
        training.candidate = CANDIDATES[name]
        np.testing.assert_allclose(training._next(tf.constant(weight), found), aim, rtol=1e-5)


def test_lambda_after_the_step_is_of_the_new_network_at_the_same_points():
    training = stacked(CANDIDATES["lambda after the step"], steps=1)
    found = training._gradients(training._points(tf.constant(0)))
    np.testing.assert_allclose(training.weight, training._next(tf.ones([2]), found), rtol=1e-5)
    [first, *_] = training.advance(tf.constant(1))
    np.testing.assert_allclose(first, training.weight, rtol=1e-6)  # the next comes after step 10


def test_fixed_points_are_those_of_the_first_step():
    fixed = stacked(CANDIDATES["fixed points"], steps=1)
    fresh = stacked(CANDIDATES[BASELINE], steps=1)
    for training in (fixed, fresh):
        training.advance(tf.constant(1))
    apart = [np.abs(one - other).max() for one, other in zip(fixed.stack.kernels, fresh.stack.kernels, strict=True)]
    assert max(apart) > 1e-4
    assert not np.array_equal(fresh._points(tf.constant(0)), fresh._points(tf.constant(1)))


def test_measured_scale_is_near_the_exact_one():
    found = Training(CANDIDATES["measured scale"], SIZE, SEEDS, SMOKE.batch, jit=False).stack
    exact = Training(CANDIDATES[BASELINE], SIZE, SEEDS, SMOKE.batch, jit=False).stack
    assert 0 < np.abs(found.mean).max() < 0.01
    assert 0 < np.abs(found.spread - exact.spread).max() < 0.01


def test_truncated_kernels_have_the_same_deviation():
    normal, cut = (
        Training(candidate, "1x500", range(8), 16, jit=False).stack.kernels[0].numpy()
        for candidate in (CANDIDATES[BASELINE], CANDIDATES["truncated normal"])
    )
    deviation = np.sqrt(2 / 502)
    np.testing.assert_allclose([normal.std(), cut.std()], deviation, rtol=0.02)
    assert np.abs(cut).max() < 2.3 * deviation < np.abs(normal).max()


@pytest.mark.parametrize("name", ["one more layer", "float64", "lambda in each step", "epsilon 1e-7"])
def test_every_other_candidate_changes_the_training(name):
    training, baseline = stacked(CANDIDATES[name]), stacked(CANDIDATES[BASELINE])
    assert len(training.stack.kernels) == 3 + CANDIDATES[name].more_layers
    assert training.stack.kernels[0].dtype == CANDIDATES[name].dtype
    assert not np.array_equal(training.weight, baseline.weight)


def test_other_points_leave_the_first_weights():
    other, baseline = (
        Training(CANDIDATES[name], SIZE, SEEDS, SMOKE.batch, jit=False) for name in ("other points", BASELINE)
    )
    assert not np.array_equal(other._points(tf.constant(0)), baseline._points(tf.constant(0)))
    for one, same in zip(other.stack.kernels, baseline.stack.kernels, strict=True):
        np.testing.assert_array_equal(one, same)
