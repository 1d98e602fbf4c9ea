"""Gates that follow how losses change, that draw weights, and that divide by the losses' size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss._internal.random import LOOK_BACK, uniform
from blendloss.gates import normalizers
from blendloss.gates._from_values._rate_gate import ratio, smoothed
from blendloss.gates._from_values._relobralo import log_balance
from blendloss.gates._from_values._softadapt_rates import forward_difference, over_sum, over_sum_of_sizes
from tests.gates.golden.rates import SLOWER, long_run
from tests.gates.values import blend_of, falling, read, state_of, train

#: Logits of below 100 in float64, each rounded a few times, in an exponential.
DOUBLE = 1e-12


def precise(gate):
    return type(gate).from_config({**gate.get_config(), "dtype": "float64"})


def in_training(gate, losses):
    """The weights of each training step, `[steps, K]`."""
    losses = np.asarray(losses, np.float64)
    blend = blend_of(gate, losses.shape[1])
    return np.stack([train(blend, given, step=step, dtype="float64").weights for step, given in enumerate(losses)])


# Pure functions


@pytest.mark.parametrize("order", range(1, 8))
def test_the_difference_is_the_slope_at_the_start_of_polynomials_up_to_its_order(order):
    time = np.arange(order + 1.0)
    powers = np.stack([(time - 0.5) ** degree for degree in range(order + 1)], axis=1)
    expected = [degree * (-0.5) ** (degree - 1) if degree else 0 for degree in range(order + 1)]
    # Sums of terms of up to this size, each rounded.
    size = 2.0**order * np.abs(powers).max()
    np.testing.assert_allclose(forward_difference(tf.constant(powers)), expected, rtol=0, atol=8 * 2.0**-52 * size)


@pytest.mark.parametrize(
    "coefficients",
    [[-1, 1], [-3 / 2, 2, -1 / 2], [-25 / 12, 4, -3, 4 / 3, -1 / 4], [-137 / 60, 5, -5, 10 / 3, -5 / 4, 1 / 5]],
    ids=["1", "2", "4", "5"],
)
def test_the_difference_has_the_package_coefficients(coefficients):
    found = forward_difference(tf.eye(len(coefficients), dtype=tf.float64))
    np.testing.assert_allclose(found, coefficients, rtol=4 * 2.0**-52)


def test_the_slope_of_a_constant_is_0():
    np.testing.assert_array_equal(forward_difference(tf.fill([5, 2], 0.1)), [0, 0])


def test_normalised_rates():
    rates = tf.constant([1.0, -3.0, 0.0])
    np.testing.assert_allclose(over_sum(rates), [-0.5, 1.5, 0])
    np.testing.assert_allclose(over_sum_of_sizes(rates), [0.25, -0.75, 0])
    np.testing.assert_array_equal(over_sum(tf.constant([1.0, -1.0])), [1, -1])
    np.testing.assert_array_equal(over_sum_of_sizes(tf.zeros([2])), [0, 0])


def test_ratios_at_their_ends():
    largest = np.finfo(np.float32).max
    found = ratio(tf.constant([6.0, 0.0, 0.0, 1.0, -1.0, 1e30]), tf.constant([3.0, 0.0, 2.0, 0.0, 0.0, 1e-30]))
    np.testing.assert_array_equal(found, np.float32([2, 1, 0, largest, -largest, largest]))


def test_smoothing_is_the_mean_of_the_weights():
    old, new = np.log([1.0, 3.0]), np.array([0.0, -np.inf])
    np.testing.assert_allclose(np.exp(smoothed(tf.constant(old), tf.constant(new), 0.75)), [1, 9 / 4], rtol=DOUBLE)
    for share, expected in ((0.0, new), (1.0, old)):
        np.testing.assert_allclose(smoothed(tf.constant(old), tf.constant(new), share), expected, rtol=DOUBLE)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_balance_at_its_ends(dtype):
    def balance(now, then, temperature=1e-5, epsilon=1e-12):
        return np.exp(log_balance(tf.constant(now, dtype), tf.constant(then, dtype), temperature, epsilon))

    np.testing.assert_allclose(balance([2.0, 4.0], [1.0, 2.0], epsilon=0.0), [1, 1], rtol=1e-6)
    # Losses 1 + T and 1/2 after 1 and 1/2, T = 2^-17: the quotients are 2^17 + 1 and 2^17, but for the epsilon.
    close = balance([1 + 2.0**-17, 0.5], [1.0, 0.5], temperature=2.0**-17, epsilon=2.0**-40)
    odds = math.exp(1 / (1 + 2.0**-23) - 2.0**-6 / (1 + 2.0**-23) + 2.0**-5 / (1 + 2.0**-22))
    np.testing.assert_allclose(close, [2 * odds / (1 + odds), 2 / (1 + odds)], rtol=1e-6)
    np.testing.assert_allclose(balance([2.0, 1.0], [1.0, 1.0]), [2, 0], rtol=1e-6)
    np.testing.assert_allclose(balance([1e30, 1.0], [0.0, 1.0]), [2, 0], rtol=1e-6)
    np.testing.assert_allclose(balance([0.0, 1.0], [0.0, 1.0], epsilon=0.0), [1, 1], rtol=1e-6)
    np.testing.assert_allclose(balance([3.0], [1.0]), [1], rtol=1e-6)


# SoftAdapt


def test_softadapt_changes_every_fifth_step():
    losses = falling(3, 14)
    weights = in_training(precise(gates.SoftAdapt(2.0)), losses)
    np.testing.assert_array_equal(weights[:4], np.ones([4, 3]))
    for start in (4, 9):
        np.testing.assert_array_equal(weights[start : start + 5], np.tile(weights[start], [5, 1]))
        slopes = np.array([-25 / 12, 4, -3, 4 / 3, -1 / 4]) @ losses[start - 4 : start + 1]
        np.testing.assert_allclose(weights[start], np.exp(2 * slopes) / np.exp(2 * slopes).sum(), rtol=DOUBLE)


def test_softadapt_slides_where_it_changes_more_often():
    losses = falling(3, 8)
    weights = in_training(precise(gates.SoftAdapt(2.0, order=2, every=1)), losses)
    np.testing.assert_array_equal(weights[:2], np.ones([2, 3]))
    slopes = -1.5 * losses[:-2] + 2 * losses[1:-1] - 0.5 * losses[2:]
    expected = np.exp(2 * slopes) / np.exp(2 * slopes).sum(1, keepdims=True)
    np.testing.assert_allclose(weights[2:], expected, rtol=DOUBLE)


def test_loss_weighted_softadapt_takes_the_mean_of_all_it_keeps():
    losses = falling(2, 5)
    weights = in_training(precise(gates.SoftAdapt(0.0, order=1, every=6, loss_weighted=True)), losses)
    np.testing.assert_allclose(weights[-1], losses.sum(0) / losses.sum(), rtol=DOUBLE)


def test_softadapt_of_ratios_is_dwa_of_single_steps_with_the_present_loss():
    losses = falling(3, 6)
    weights = in_training(precise(gates.SoftAdapt(1.0, rate="ratio", total=None)), losses)
    ratios = np.exp(losses[1:] / losses[:-1])
    np.testing.assert_array_equal(weights[0], [1, 1, 1])
    np.testing.assert_allclose(weights[1:], 3 * ratios / ratios.sum(1, keepdims=True), rtol=DOUBLE)


def test_softadapt_of_the_relobralo_repository():
    """Its rule in NumPy; its first step compares with 1, ours does not change the weights."""
    losses, lam = falling(3, 6), np.ones(3)
    weights = in_training(precise(gates.SoftAdapt(0.1, order=1, every=1, total=None, momentum=0.9)), losses)
    for before, now, found in zip(losses, losses[1:], weights[1:], strict=False):
        share = np.exp(0.1 * (now - before))
        lam = 0.9 * lam + 0.1 * 3 * share / share.sum()
        np.testing.assert_allclose(found, lam, rtol=DOUBLE)


def test_loss_weighted_softadapt_refuses_negative_losses_without_keeping_them():
    def blend():
        return blend_of(gates.SoftAdapt(order=1, every=1, loss_weighted=True), 2)

    eager = blend()
    train(eager, [1.0, 2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="mean losses"):
        train(eager, [1.0, -4.0], step=1)
    compiled = blend()
    step = tf.function(lambda losses: train(compiled, losses).value, jit_compile=True)
    step(tf.constant([1.0, 2.0]))
    assert np.isnan(step(tf.constant([1.0, -4.0])))
    assert np.isnan(step(tf.constant([1.0, 2.0])))  # the mean of -4 and 2
    np.testing.assert_allclose(step(tf.constant([1.0, 2.0])), 5 / 3)


def test_softadapt_keeps_its_weights_where_the_slopes_overflow():
    blend = blend_of(gates.SoftAdapt(10.0, order=1, every=1), 2)
    for losses in ([1.0, 1.0], [1.0, 1.1]):
        before = train(blend, losses).weights.numpy()
    np.testing.assert_array_equal(train(blend, [3e38, -3e38]).weights, before)


# ReLoBRaLo, step by step against its authors' code, commit b3c76d2b, and the paper's equation, in float64; the draws
# of seed 2 at 1/2 are 1, 1, 1, 0, 1, 0.

BALANCED = {
    "paper": [
        [1, 1, 1],
        [0.784180785263931, 0.563409304131565, 1.6524099106045],
        [0.536304280784867, 1.61248363902886, 0.85121208018627],
        [0.231072546001307, 0.609517718388024, 2.15940973561067],
        [0.962384962274269, 0.553971808725031, 1.4836432290007],
        [0.502686494795595, 0.14178456820755, 2.35552893699685],
    ],
    "code": [
        [1, 1, 1],
        [0.568361570527862, 0.126818608263131, 2.30481982120901],
        [0.428394673416832, 1.39418829109465, 1.17741703548852],
        [0.149091961773633, 1.47867612649047, 1.3722319117359],
        [0.921394670160433, 0.988551012776254, 1.09005431706331],
        [0.644619162902209, 0.391994936226743, 1.96338590087105],
    ],
}


@pytest.mark.parametrize("form", BALANCED)
def test_relobralo_step_by_step(form):
    weights = in_training(precise(gates.ReLoBRaLo(0.5, 0.1, 0.5, seed=2, form=form)), SLOWER)
    np.testing.assert_allclose(weights, BALANCED[form], rtol=1e-12)


def test_relobralo_that_never_looks_back_is_a_running_mean():
    losses, weights = falling(3, 9), np.ones(3)
    found = in_training(precise(gates.ReLoBRaLo(0.7, 0.5, 1.0, seed=0)), losses)
    for before, now, given in zip(losses, losses[1:], found[1:], strict=False):
        share = np.exp(now / before / 0.5)
        weights = 0.7 * weights + 0.3 * 3 * share / share.sum()
        np.testing.assert_allclose(given, weights, rtol=1e-10)  # epsilon is 1e-12 of losses of 0.2 and more


def test_lookbacks_are_as_frequent_as_asked():
    steps = tf.range(4000, dtype=tf.int64)

    @tf.function
    def draw(steps):
        return tf.map_fn(lambda step: uniform([1], 3, step, tf.float64, LOOK_BACK)[0], steps, tf.float64)

    drawn = draw(steps)
    for expected in (0.5, 0.9, 0.99):
        # Four standard errors.
        assert abs(np.mean(drawn < expected) - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000)
    assert np.corrcoef(drawn[:-1], drawn[1:])[0, 1] < 4 / math.sqrt(4000)


# Dynamic weight average


def test_dwa_by_epochs():
    """The weights that TorchJD 0.18.0 has in each epoch."""
    losses = [[1, 4, 0.25], [0.8, 3.9, 0.3], [0.5, 3.5, 0.28], [0.6, 3, 0.2], [1, 1, 1]]
    expected = [
        [1, 1, 1],
        [1, 1, 1],
        [0.905566055620284, 0.988373066348875, 1.10606087803084],
        [0.905628406601743, 1.03778822773599, 1.05658336566227],
        [1.14205487555077, 0.962136054807086, 0.895809069642148],
    ]
    np.testing.assert_allclose(in_training(precise(gates.DWA(1)), losses), expected, rtol=1e-12)
    tripled = in_training(precise(gates.DWA(3)), np.repeat(losses, 3, axis=0))
    np.testing.assert_allclose(tripled, np.repeat(expected, 3, axis=0), rtol=1e-12)


def test_dwa_sliding():
    """The weights of the code of Nash-MTL, commit cce18403, in float64."""
    weights = in_training(precise(gates.DWA(25, sliding=True)), long_run(60))
    np.testing.assert_array_equal(weights[:26], np.ones([26, 3]))
    for step, expected in {
        26: [0.703776599550606, 1.64816556620074, 0.648057834248655],
        27: [0.743426407674264, 1.56132582520297, 0.695247767122761],
        40: [0.914350493977679, 1.09483474485362, 0.990814761168703],
        48: [0.900561580778013, 0.936295263700624, 1.16314315552136],
        49: [0.891355087445701, 0.911296306792119, 1.19734860576218],
        50: [0.897868563537489, 0.911088122549603, 1.19104331391291],
        59: [0.934099564652089, 0.900426749397522, 1.16547368595039],
    }.items():
        np.testing.assert_allclose(weights[step], expected, rtol=1e-12)
    short = in_training(precise(gates.DWA(2, sliding=True)), [[1, 4], [2, 4], [1, 2], [0.5, 1], [0.5, 4], [0.25, 3]])
    last = [
        [1.03123983144603, 0.968760168553969],
        [0.875646998228404, 1.1243530017716],
        [0.571275141017888, 1.42872485898211],
    ]
    np.testing.assert_allclose(short[3:], last, rtol=1e-12)


def test_a_window_averages_what_was_finite():
    nan = math.nan
    broken = in_training(precise(gates.DWA(2)), [[1, 2], [nan, 2], [4, 1], [2, 3], [1, 1]])
    sound = in_training(precise(gates.DWA(2)), [[1, 2], [1, 2], [3, 2], [3, 2], [1, 1]])
    np.testing.assert_allclose(broken[-1], sound[-1], rtol=1e-14)
    nothing = in_training(precise(gates.DWA(2)), [[1, 2], [1, 2], [nan, 1], [1, nan], [3, 2], [3, 2], [1, 1]])
    np.testing.assert_allclose(nothing[-1], sound[-1], rtol=1e-14)


def test_skipped_steps_are_counted():
    for gate in (gates.DWA(2), gates.SoftAdapt(), gates.ReLoBRaLo(seed=0)):
        blend = blend_of(gate, 2)
        for step, losses in enumerate([[1.0, 1.0], [math.nan, 1.0], [1.0, 1.0], [math.inf, 1.0]]):
            train(blend, losses, step=step)
        assert int(gate.skipped) == 2


# Random weights


def drawn(gate, k, steps=4000):
    gate.attach(tuple("abcdefgh"[:k]))

    def weights(step):
        gating = gate.gating(gates.Context(step, True))
        logits = tf.cast(gating.logits, tf.float64)
        return tf.nn.softmax(logits) * tf.cast(gating.total, tf.float64)

    return tf.function(lambda: tf.map_fn(weights, tf.range(steps, dtype=tf.int64), tf.float64))().numpy()


@pytest.mark.parametrize(
    ("distribution", "k", "variance"),
    [
        ("normal", 2, 0.0684190769842),  # of the logistic function of a normal of variance 2
        ("normal", 3, 0.04941080),  # Gauss-Hermite
        ("dirichlet", 2, 1 / 12),
        ("dirichlet", 3, 1 / 18),
        ("uniform", 2, None),
    ],
)
def test_random_weights_have_the_moments_of_their_law(distribution, k, variance):
    if variance is None:  # (1 / 2) tanh of half a triangular difference: the midpoint rule, to 1e-7
        difference = (np.arange(2000) + 0.5) / 1000 - 1
        variance = np.mean((np.tanh(difference / 2) / 2) ** 2 * (1 - np.abs(difference))) * 2
    weights = drawn(gates.Random(distribution, seed=7), k)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    error = math.sqrt(variance / len(weights))
    assert np.abs(weights.mean(0) - 1 / k).max() < 4 * error
    # The fourth moment of what lies in [-1, 1] is at most its variance.
    assert np.abs(weights.var(0) - variance).max() < 4 * error
    assert np.abs(np.corrcoef(weights[1:, 0], weights[:-1, 0])[0, 1]) < 4 / math.sqrt(len(weights))


def test_every_set_of_losses_but_none_is_drawn_alike():
    weights = drawn(gates.Random("bernoulli", seed=1), 3)
    np.testing.assert_allclose(weights, np.round(weights), rtol=0, atol=1e-6)
    counts = np.bincount(np.round(weights).astype(int) @ [1, 2, 4], minlength=8)
    assert counts[0] == 0
    # Four standard errors of a share of 1/7.
    assert np.abs(counts[1:] / 4000 - 1 / 7).max() < 4 * math.sqrt(1 / 7 * 6 / 7 / 4000)


@pytest.mark.parametrize("ones", [1, 2, 3])
def test_exactly_so_many_losses_are_drawn(ones):
    weights = drawn(gates.Random("bernoulli", seed=1, ones=ones), 3)
    np.testing.assert_allclose(weights.sum(1), ones, rtol=1e-6)
    np.testing.assert_allclose(np.sort(weights, 1)[:, -ones:], 1, rtol=1e-6)
    assert np.abs(weights.mean(0) - ones / 3).max() < 4 * math.sqrt(2 / 9 / 4000)


def test_a_random_normal_keeps_its_means_and_deviations():
    gate = gates.Random("random_normal", seed=3)
    gate.attach(("a", "b"))
    difference = np.log(drawn(gate, 2) @ [[1, 0], [0, 1]])
    difference = difference[:, 0] - difference[:, 1]
    means, deviations = (np.array(part) for part in gate._law())
    assert (means > 0).all()
    assert (means < 1).all()
    spread = math.hypot(*deviations)
    assert abs(difference.mean() - (means[0] - means[1])) < 4 * spread / math.sqrt(4000)
    assert abs(difference.std() / spread - 1) < 4 / math.sqrt(2 * 4000)
    resting = gate.gating(gates.Context(None, False))
    np.testing.assert_allclose(tf.nn.softmax(resting.logits), np.exp(means) / np.exp(means).sum(), rtol=1e-6)


def test_draws_are_a_function_of_seed_and_step():
    first, again, other = (drawn(gates.Random(seed=seed), 3, steps=50) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first[:, 0])) == 50
    assert not (first == other).any()


def test_at_most_all_weights_are_one():
    with pytest.raises(ValueError, match="`ones` must .*2 losses.*Received:"):
        blend_of(gates.Random("bernoulli", seed=0, ones=3), 2)


# Normalised losses


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
        np.testing.assert_allclose(weights[step], 1 / root, rtol=DOUBLE)


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


# Gradients


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
    np.testing.assert_allclose(tape.gradient(output.value, x), expected, rtol=DOUBLE)
    assert not np.allclose(output.weights, [1, 1]) or isinstance(blend.gate, gates.DWA)


# Arguments


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: gates.SoftAdapt("1"), TypeError, "beta"),
        (lambda: gates.SoftAdapt(math.inf), ValueError, "beta"),
        (lambda: gates.SoftAdapt(order=0), ValueError, "order"),
        (lambda: gates.SoftAdapt(order=1.0), TypeError, "order"),
        (lambda: gates.SoftAdapt(order=1, rate="ratio"), ValueError, "order"),
        (lambda: gates.SoftAdapt(every=0), ValueError, "every"),
        (lambda: gates.SoftAdapt(rate="difference"), ValueError, "rate"),
        (lambda: gates.SoftAdapt(normalize="l1"), ValueError, "normalize"),
        (lambda: gates.SoftAdapt(loss_weighted=1), TypeError, "loss_weighted"),
        (lambda: gates.SoftAdapt(total=0), ValueError, "total"),
        (lambda: gates.SoftAdapt(momentum=1), ValueError, "momentum"),
        (lambda: gates.ReLoBRaLo(1.5, seed=0), ValueError, "alpha"),
        (lambda: gates.ReLoBRaLo(temperature=0, seed=0), ValueError, "temperature"),
        (lambda: gates.ReLoBRaLo(expected_rho=-0.1, seed=0), ValueError, "expected_rho"),
        (lambda: gates.ReLoBRaLo(seed=0.5), TypeError, "seed"),
        (lambda: gates.ReLoBRaLo(seed=0, form="jinns"), ValueError, "form"),
        (lambda: gates.ReLoBRaLo(seed=0, epsilon=-1), ValueError, "epsilon"),
        (lambda: gates.DWA(0), ValueError, "window"),
        (lambda: gates.DWA(1.5), TypeError, "window"),
        (lambda: gates.DWA(1, 0.0), ValueError, "temperature"),
        (lambda: gates.DWA(1, sliding=None), TypeError, "sliding"),
        (lambda: gates.Random("gamma", seed=0), ValueError, "distribution"),
        (lambda: gates.Random(seed=2**64), ValueError, "seed"),
        (lambda: gates.Random(seed=0, ones=1), ValueError, "ones"),
        (lambda: gates.Random("bernoulli", seed=0, ones=0), ValueError, "ones"),
        (lambda: gates.Normalized("likelihood"), ValueError, "normalize"),
        (lambda: gates.Normalized("first"), ValueError, "normalize"),
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


def test_reading_needs_no_training_first():
    for gate in (gates.SoftAdapt(), gates.ReLoBRaLo(seed=0), gates.DWA(3), gates.Random(seed=0), gates.Normalized()):
        weights = read(blend_of(gate, 2), [1.0, 9.0]).weights
        np.testing.assert_allclose(weights, [0.5, 0.5] if isinstance(gate, gates.Random) else [1, 1])
