"""`FAMO`: its steps against the published code, its gradient, bounds, and losses that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from blendloss.gates._from_values._famo import Moments, adam, along_softmax
from tests.gates.values import blend_of, compute, state_of, train

DOUBLE = tf.float64
FALLING = [[1, 4, 0.25], [0.9, 3.5, 0.26], [0.7, 3.4, 0.2], [0.71, 2, 0.15], [0.5, 1.9, 0.16], [0.4, 1.5, 0.1]]
#: xi after each update, by the code published with the paper (commit 0a6ad06d, PyTorch's Adam, float64).
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
    weights = compute(blend, [1.0, 1.0, 1.0]).weights.numpy()
    assert weights[0] < weights[1] < weights[2]
    assert abs(weights.sum() - 1) < 1e-6


def test_losses_below_their_bounds_are_caught_in_the_graph():
    blend = blend_of(gates.FAMO([1.0, 0.0]), 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be above the `lower_bounds`"):
        compute(blend, [0.5, 1.0], training=True)
    train(blend, [1.5, 1.0])
    compute(blend, [1.5, 1.0], step=1, training=True)
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


@pytest.mark.parametrize(
    ("error", "argument", "make"),
    [
        (ValueError, "learning_rate", lambda: gates.FAMO(learning_rate=0.0)),
        (ValueError, "weight_decay", lambda: gates.FAMO(weight_decay=-1.0)),
        (ValueError, "epsilon", lambda: gates.FAMO(epsilon=float("nan"))),
        (TypeError, "same_batch", lambda: gates.FAMO(same_batch=1)),
        (TypeError, "lower_bounds", lambda: gates.FAMO("ab")),
    ],
)
def test_a_bad_argument_is_named(error, argument, make):
    with pytest.raises(error, match=rf"`{argument}(\[\d+\])?` must .*Received:"):
        make()
