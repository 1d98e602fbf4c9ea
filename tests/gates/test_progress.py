"""Gates that learn from what an update did, FAMO and the bandits: when they must be told, what they learn, draws."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates import Needs
from blendloss.gates._from_values._bandit import policy, scaled, shared_with_all, shared_with_others
from blendloss.gates._from_values._famo import Moments, adam, along_softmax
from tests.gates.values import blend_of, named, read, state_of, train

GATES = {
    "famo": lambda **named: gates.FAMO(**named),
    "exp3": lambda **named: gates.Exp3(0.1, seed=0, **named),
    "exp3-s": lambda **named: gates.Exp3S(seed=0, **named),
}
every_gate = pytest.mark.parametrize("make", GATES.values(), ids=GATES)
DOUBLE = tf.float64


# Being told


@every_gate
def test_a_training_step_without_an_observation_raises(make):
    losses = named([1.0, 2.0])
    for regime in (lambda f: f, tf.function):
        blend = blend_of(make(), 2)
        step = regime(lambda number, blend=blend: blend.compute_from_values(losses, step=number).value)
        assert np.isfinite(step(tf.constant(0)))
        with pytest.raises(tf.errors.InvalidArgumentError, match="`observe_progress` of the gate .* must be given"):
            step(tf.constant(1))
        blend.gate.observe_progress(losses)
        assert np.isfinite(step(tf.constant(1)))


@every_gate
def test_a_training_step_without_an_observation_is_nan_under_xla(make):
    blend = blend_of(make(), 2)
    step = tf.function(lambda number: blend.compute_from_values(named([1.0, 2.0]), step=number).value, jit_compile=True)
    assert np.isfinite(step(tf.constant(0)))
    assert np.isnan(step(tf.constant(1)))


@every_gate
def test_an_observation_without_a_training_step_raises(make):
    blend = blend_of(make(), 2)
    for regime in (lambda f: f, tf.function):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must follow a training step"):
            regime(blend.gate.observe_progress)(tf.constant([1.0, 2.0]))
    train(blend, [1.0, 2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must follow a training step"):
        blend.gate.observe_progress([1.0, 2.0])


@every_gate
def test_a_reading_between_step_and_observation_is_no_step(make):
    blend, again = blend_of(make(), 2), blend_of(make(), 2)
    for one in (blend, again):
        read(one, [1.0, 2.0], step=3, training=True)
    read(again, [7.0, 8.0])
    for one in (blend, again):
        one.gate.observe_progress([0.5, 1.5])
    for name, values in state_of(blend.gate).items():
        np.testing.assert_array_equal(values, state_of(again.gate)[name])


@every_gate
def test_the_next_batch_needs_no_observation_and_takes_none(make):
    gate = make(same_batch=False)
    assert Needs.PROGRESS not in gate.needs
    blend = blend_of(gate, 2)
    for step in range(3):
        read(blend, [1.0, 2.0], step, training=True)
    with pytest.raises(TypeError, match="does not watch the losses after an update"):
        gate.observe_progress([1.0, 2.0])


@every_gate
def test_the_next_batch_and_the_same_one_learn_alike_where_the_losses_are(make):
    """Of a deterministic loss, the next step's is that after this step's update."""
    losses = np.exp(-np.outer(np.arange(12), [0.1, 0.3, 0.2])).astype(np.float32)
    told, untold = blend_of(make(), 3), blend_of(make(same_batch=False), 3)
    for step in range(11):
        first = train(told, losses[step], losses[step + 1], step)
        second = read(untold, losses[step], step, training=True)
        np.testing.assert_array_equal(first.weights, second.weights)


@every_gate
def test_names_in_any_order(make):
    blend, again = blend_of(make(), 2), blend_of(make(), 2)
    for one in (blend, again):
        read(one, [1.0, 2.0], training=True)
    blend.gate.observe_progress([0.9, 1.0])
    again.gate.observe_progress({"b": 1.0, "a": tf.constant(0.9)})
    for name, values in state_of(blend.gate).items():
        np.testing.assert_array_equal(values, state_of(again.gate)[name])


@every_gate
@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], 1.0, {"a": 1.0}, {"a": 1.0, "b": 2.0, "c": 3.0}], ids=str)
def test_an_observation_of_other_losses_is_refused(make, values):
    blend = blend_of(make(), 2)
    blend.compute_from_values(named([1.0, 2.0]), step=0)
    with pytest.raises(ValueError, match=r"`values` must .*\['a', 'b'\].*Received:"):
        blend.gate.observe_progress(values)
    blend.gate.observe_progress([0.9, 2.0])  # it still waits for its own


@every_gate
def test_a_gate_of_no_blend_says_so(make):
    with pytest.raises(ValueError, match="belongs to no blend yet"):
        make().observe_progress([1.0])


@every_gate
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_model_tells_it(make, jit_compile):
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    keras.utils.set_random_seed(0)
    blend = bl.Blend({"mse": "mse", "mae": "mae", "huber": "huber"}, make())
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
    model.compile(keras.optimizers.Adam(0.05), jit_compile=jit_compile)
    losses = model.fit(x, y, batch_size=4, epochs=8, verbose=0).history["loss/mse"]
    assert losses[-1] < 0.1 * losses[0]
    state = state_of(blend.gate)
    assert state["waiting"] == state["skipped"] == 0
    assert state.get("count", state.get("seen")) == 16 * 8


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_model_looks_at_a_batch_again_and_moves_no_running_statistic_by_it(jit_compile):
    random = np.random.default_rng(0)
    x = (3 + random.normal(size=(64, 2))).astype("float32")
    norm = keras.layers.BatchNormalization(momentum=0.75)
    network = keras.Sequential([norm, keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(1)])
    model = bl.BlendedModel(network, bl.Blend({"mse": "mse", "mae": "mae"}, gates.FAMO()))
    model.compile("sgd", jit_compile=jit_compile)
    model.fit(x, x[:, :1], batch_size=64, verbose=0)
    # Once: 0.25 of the mean; twice would be 0.4375. To float32's rounding of a sum of 64.
    np.testing.assert_allclose(norm.moving_mean, 0.25 * x.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["graph", "eager"])
def test_a_model_tells_the_losses_after_the_update(run_eagerly):
    x = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    model = bl.BlendedModel(
        keras.Sequential([keras.layers.Dense(1)]), bl.Blend({"mse": "mse", "mae": "mae"}, gates.FAMO())
    )
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly)
    told = tf.Variable([0.0, 0.0])
    gate: Any = model.blend.gate
    observe = gate.observe_progress

    def keep(values):
        told.assign(tf.stack([values["mse"], values["mae"]]))
        observe(values)

    gate.observe_progress = keep
    model.fit(x, x[:, :1], batch_size=16, verbose=0)
    after = model.blend.values(x[:, :1], model(x))
    np.testing.assert_allclose(told, [after["mse"], after["mae"]], rtol=1e-5)  # float32, fused otherwise


# FAMO


#: xi after each update, by the code published with the paper (commit 0a6ad06d, PyTorch's Adam, float64).
FALLING = [[1, 4, 0.25], [0.9, 3.5, 0.26], [0.7, 3.4, 0.2], [0.71, 2, 0.15], [0.5, 1.9, 0.16], [0.4, 1.5, 0.1]]
OFFICIAL = {
    "without-decay": (
        lambda **named: gates.FAMO(weight_decay=0.0, dtype="float64", **named),
        [
            [-0.0249999806718364, -0.0249999888016842, 0.0249999929096658],
            [-0.0494624934591884, -0.0147989922558845, 0.0267180071785471],
            [-0.0392654307904669, -0.0240232557762688, 0.0260515883879042],
            [-0.0420661078483442, -0.0288277623589497, 0.0373286842967604],
            [-0.0412229218222909, -0.0295378562479108, 0.0369924563718259],
        ],
    ),
    "decay-and-bounds": (
        lambda **named: gates.FAMO([0.3, 1.0, 0.05], weight_decay=0.01, dtype="float64", **named),
        [
            [-0.0249999871259407, -0.0249999913222127, 0.024999994816297],
            [-0.0486073866311207, -0.0138620098284485, 0.030973469104317],
            [-0.0395714731993822, -0.0240357515576721, 0.0372997894461522],
            [-0.0447805315916368, -0.0286028830537561, 0.0526382378333406],
            [-0.0491683514905307, -0.0297459031600091, 0.0615714389872065],
        ],
    ),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_famo_is_the_published_code(name):
    make, expected = OFFICIAL[name]
    gate = make()
    blend = blend_of(gate, 3)
    found = []
    for step in range(5):
        train(blend, FALLING[step], FALLING[step + 1], step, dtype="float64")
        found.append(gate.xi.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_weight_decay_is_a_part_of_the_gradient():
    weights, gradient = tf.constant([2.0, -1.0], DOUBLE), tf.constant([0.1, 0.3], DOUBLE)
    nothing = Moments(tf.zeros([2], DOUBLE), tf.zeros([2], DOUBLE))
    one = tf.constant(1, tf.int64)
    decayed, _ = adam(weights, gradient, nothing, one, 0.1, 0.5)
    added, _ = adam(weights, gradient + 0.5 * weights, nothing, one, 0.1, 0.0)
    np.testing.assert_array_equal(decayed, added)


def test_gradient_along_softmax_is_autodiffs():
    logits, delta = tf.Variable([0.3, -1.0, 2.0], dtype=DOUBLE), tf.constant([1.0, -0.5, 0.2], DOUBLE)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.nn.softmax(logits) * delta)
    np.testing.assert_allclose(along_softmax(logits, delta), tape.gradient(value, logits), rtol=1e-13)


def test_a_loss_that_falls_faster_loses_weight():
    gate = gates.FAMO()
    blend = blend_of(gate, 3)
    for step in range(50):
        train(blend, [1.0, 1.0, 1.0], [0.5, 0.9, 1.0], step)
    weights = read(blend, [1.0, 1.0, 1.0]).weights.numpy()
    assert weights[0] < weights[1] < weights[2]
    assert abs(weights.sum() - 1) < 1e-6


def test_losses_below_their_bounds_are_caught_in_the_graph():
    blend = blend_of(gates.FAMO([1.0, 0.0]), 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be above the `lower_bounds`"):
        read(blend, [0.5, 1.0], training=True)
    train(blend, [1.5, 1.0])
    read(blend, [1.5, 1.0], step=1, training=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be above the `lower_bounds`"):
        blend.gate.observe_progress([0.5, 1.0])


@pytest.mark.parametrize("where", ["before", "after"])
def test_losses_that_are_not_finite_are_counted_and_leave_xi(where):
    gate = gates.FAMO()
    blend = blend_of(gate, 2)
    train(blend, [1.0, 1.0], [0.5, 0.9])
    kept = state_of(gate)
    good, bad = [1.0, 1.0], [np.inf, 1.0]
    output = train(blend, *((bad, good) if where == "before" else (good, bad)))
    assert np.isnan(output.weights).any() == (where == "before")
    state = state_of(gate)
    for name in ("xi", "mean", "square", "count"):
        np.testing.assert_array_equal(state[name], kept[name])
    assert state["skipped"] == 1
    train(blend, [1.0, 1.0], [0.5, 0.9])
    assert state_of(gate)["count"] == 2


# What the bandits compute


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


# What they refuse


@pytest.mark.parametrize(
    ("error", "argument", "make"),
    [
        (ValueError, "learning_rate", lambda: gates.FAMO(learning_rate=0.0)),
        (ValueError, "weight_decay", lambda: gates.FAMO(weight_decay=-1.0)),
        (ValueError, "epsilon", lambda: gates.FAMO(epsilon=float("nan"))),
        (TypeError, "same_batch", lambda: gates.FAMO(same_batch=1)),
        (TypeError, "lower_bounds", lambda: gates.FAMO("ab")),
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
