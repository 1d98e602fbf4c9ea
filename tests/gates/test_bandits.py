"""`Exp3` and `Exp3S`: rewards, policies and draws."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from blendloss.gates._from_values._bandit import policy, scaled, shared_with_all, shared_with_others
from tests.gates.values import blend_of, named, state_of, train

DOUBLE = tf.float64


# Rewards and policies


def test_scaled_rewards():
    history = tf.constant([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 99.0, 99.0], DOUBLE)  # of the first six: 1 and 4
    filled = tf.constant(6, tf.int64)
    found = [float(scaled(tf.constant(x, DOUBLE), history, filled)) for x in (-9.0, 1.0, 1.75, 2.5, 4.0, 50.0)]
    np.testing.assert_allclose(found, [-1, -1, -0.5, 0, 1, 1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("filled", [0, 1, 3], ids=["none", "one", "all-equal"])
def test_rewards_without_a_spread_are_the_middle(filled):
    assert float(scaled(tf.constant(7.0), tf.constant([2.0, 2.0, 2.0]), tf.constant(filled, tf.int64))) == 0


def test_policy_mixes_in_the_uniform():
    np.testing.assert_allclose(policy(tf.constant([0.0, np.log(3)]), 0.2), [0.3, 0.7], rtol=1e-6)
    np.testing.assert_allclose(policy(tf.constant([0.0, -1e30]), 0.2), [0.9, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(policy(tf.constant([5.0, 0.0]), 1.0), [0.5, 0.5])


def test_sharing_against_sums_of_exponentials():
    random = np.random.default_rng(0)
    before, after = random.normal(size=(2, 5))
    for share in (0.0, 0.1, 0.5, 1.0):
        mixed = (1 - share) * np.exp(after) + share / 4 * (np.exp(after).sum() - np.exp(after))
        found = shared_with_others(tf.constant(after), tf.constant(share, DOUBLE))
        np.testing.assert_allclose(found, np.log(mixed) - after.max(), rtol=1e-12)
        mixed = np.exp(after) + np.e * share / 5 * np.exp(before).sum()
        found = shared_with_all(tf.constant(after), tf.constant(before), tf.constant(share, DOUBLE))
        np.testing.assert_allclose(found, np.log(mixed) - after.max(), rtol=1e-12)


#: Rewards of the arms drawn, by hand from the papers' formulas in float64: log weights less the largest, at the end.
SEQUENCES = {
    "exp3": (
        lambda: gates.Exp3(0.5, seed=0, dtype="float64"),
        [(0, 1.0), (2, 0.5), (0, 0.25), (1, 1.0), (1, 0.0)],
        np.log([1.8426934814537, 1.78767052969452, 1.31573139926917]),
    ),
    "exp3-s-auer": (
        lambda: gates.Exp3S(0.5, seed=0, form="auer", share=0.1, dtype="float64"),
        [(0, 1.0), (2, 0.5), (0, 0.25), (1, 1.0), (1, 0.0)],
        np.log([4.95680964044694, 5.63546981368959, 4.41476527037073]),
    ),
    "exp3-s-graves": (
        lambda: gates.Exp3S(0.05, seed=0, rate=0.5, dtype="float64"),
        [(0, 1.0), (2, -0.5), (0, 0.25), (1, 1.0), (1, -1.0)],
        np.array([1.16760301341184, 1.1915624989905, 0.968235974641254]),
    ),
    "exp3-s-graves-share": (
        lambda: gates.Exp3S(0.05, seed=0, rate=0.5, share=0.01, dtype="float64"),
        [(0, 1.0), (2, -0.5), (0, 0.25), (1, 1.0), (1, -1.0)],
        np.array([1.65032640418163, 2.30810453492119, -0.747293849429051]),
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_of_rewards(name):
    make, rewards, expected = SEQUENCES[name]
    gate = make()
    gate.attach(("a", "b", "c"))
    log_weights = tf.zeros([3], DOUBLE)
    for count, (arm, reward) in enumerate(rewards, 1):
        gains = gate.gained(tf.constant(reward, DOUBLE), tf.range(3) == arm, policy(log_weights, gate.exploration))
        log_weights = gate.learned(log_weights, gains, tf.constant(count, tf.int64))
    np.testing.assert_allclose(log_weights, expected - expected.max(), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("gain", "reward"), [("relative", 0.25), ("absolute", 1.0)])
def test_progress_of_the_drawn_loss(gain, reward):
    gate = gates.Exp3(0.1, seed=0, gain=gain)
    blend = blend_of(gate, 2)
    drawn = train(blend, [4.0, 4.0], [3.0, 3.0]).weights.numpy().argmax()
    assert state_of(gate)["drawn"] == drawn
    assert state_of(gate)["rewards"][0] == reward


@pytest.mark.parametrize(
    ("before", "after", "skipped"), [(0.0, 0.0, 0), (0.0, 1.0, 1), (np.inf, 1.0, 1), (-2.0, -3.0, 0)]
)
def test_progress_from_0_infinity_and_below_0(before, after, skipped):
    gate = gates.Exp3(0.1, seed=0)
    blend = blend_of(gate, 1)
    train(blend, [before], [after])
    state = state_of(gate)
    assert state["skipped"] == skipped
    assert state["seen"] == 1 - skipped
    assert state["rewards"][0] == (0.5 if before == -2.0 else 0)


# Draws


def test_draws_are_as_frequent_as_the_policy_says():
    gate = gates.Exp3(0.1, seed=3)
    blend = blend_of(gate, 3)
    gate.log_weights.assign([0.0, -1.0, -2.0])
    draw = tf.function(lambda step: blend.compute_from_values(named([1.0, 1.0, 1.0]), step=step).weights)
    number = 4000
    counts = np.zeros(3)
    for step in range(number):
        counts += draw(tf.constant(step)).numpy()
        gate.waiting.assign(0)
    expected = gate.policy().numpy()
    # Four standard errors of a frequency; the seed is fixed.
    assert (np.abs(counts / number - expected) < 4 * np.sqrt(expected * (1 - expected) / number)).all()


def test_draws_are_a_function_of_seed_and_step():
    def draws(seed, steps):
        blend = blend_of(gates.Exp3(0.1, seed=seed), 3)
        draw = tf.function(lambda step: train(blend, [1.0, 1.0, 1.0], step=step).weights)
        return [draw(tf.constant(step)).numpy().argmax() for step in steps]

    steps = range(30)
    assert draws(0, steps) == draws(0, steps)
    assert draws(0, steps) != draws(1, steps)
    assert draws(0, steps)[::-1] == draws(0, reversed(steps))  # equal losses: the policy stays


def test_the_history_is_a_uniform_sample_of_all_rewards():
    """Reward i is kept with probability history / seen, whichever i."""
    number, size, runs = 20, 4, 150
    kept = np.zeros(number)
    for seed in range(runs):
        gate = gates.Exp3(1.0, seed=seed, history=size)
        replaced = np.stack([gate._replaced(tf.constant(seen, tf.int64)) for seen in range(number)])
        kept[[np.flatnonzero(replaced[:, place])[-1] for place in range(size)]] += 1
    expected = size / number
    # Four standard errors of a frequency over the runs; the seeds are fixed.
    assert (np.abs(kept / runs - expected) < 4 * np.sqrt(expected * (1 - expected) / runs)).all()


@pytest.mark.parametrize("name", ["exp3", "exp3-s"])
def test_a_bandit_comes_to_draw_the_loss_that_falls_furthest(name):
    gate = gates.Exp3(0.2, seed=0) if name == "exp3" else gates.Exp3S(0.1, seed=0, rate=0.03)
    blend = blend_of(gate, 3)
    step = tf.function(lambda number: train(blend, [1.0, 1.0, 1.0], [0.99, 0.8, 0.95], number).value)
    for number in range(400):
        step(tf.constant(number))
    assert gate.policy().numpy().argmax() == 1
    assert gate.policy()[1] > 0.6


def test_drawn_one_by_one_only_that_loss_is_trained():
    x = tf.Variable([1.0, 1.0, 1.0])
    blend = blend_of(gates.Exp3(0.1, seed=0), 3)
    with tf.GradientTape() as tape:
        output = blend.compute_from_values(dict(zip("abc", tf.unstack(x**2), strict=True)), step=0)
    np.testing.assert_array_equal(tape.gradient(output.value, x), 2 * output.weights)
    assert np.sort(output.weights).tolist() == [0, 0, 1]


@pytest.mark.parametrize("seed", [2**64 - 1, -(2**63)])
def test_extreme_seeds(seed):
    weights = train(blend_of(gates.Exp3S(seed=seed), 2), [1.0, 2.0], step=2**40).weights
    assert np.sort(weights).tolist() == [0, 1]


# Arguments


@pytest.mark.parametrize(
    ("error", "argument", "make"),
    [
        (ValueError, "exploration", lambda: gates.Exp3(0.0, seed=0)),
        (ValueError, "exploration", lambda: gates.Exp3S(1.5, seed=0)),
        (TypeError, "seed", lambda: gates.Exp3(0.1, seed=0.5)),
        (ValueError, "seed", lambda: gates.Exp3(0.1, seed=2**64)),
        (ValueError, "gain", lambda: gates.Exp3(0.1, seed=0, gain="ratio")),
        (ValueError, "history", lambda: gates.Exp3(0.1, seed=0, history=0)),
        (ValueError, "form", lambda: gates.Exp3S(seed=0, form="exp4")),
        (ValueError, "rate", lambda: gates.Exp3S(seed=0, rate=0.0)),
        (ValueError, "share", lambda: gates.Exp3S(seed=0, share=1.5)),
        (ValueError, "bonus", lambda: gates.Exp3S(seed=0, bonus=-1.0)),
    ],
)
def test_a_bad_argument_is_named(error, argument, make):
    with pytest.raises(error, match=rf"`{argument}(\[\d+\])?` must .*Received:"):
        make()
