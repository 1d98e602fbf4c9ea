"""`GradDrop`: the purity of signs, which signs are kept, and in which variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates._from_gradients._grad_drop import kept, purity
from tests.gates.gradients import train
from tests.gates.two_outputs import CONFLICT
from tests.gates.values import blend_of


def test_purity_and_what_is_kept():
    """TorchJD 0.18 with the given numbers in the place of its own."""
    rows, uniforms = tf.constant(CONFLICT), tf.constant([3 / 11, 10 / 11, 6 / 11], tf.float64)
    np.testing.assert_allclose(purity(rows), [1 / 2.1, 1.2 / 2.1, 1], rtol=1e-15)
    for leak, expected in ((0.0, [1, -0.9, 1.6]), (0.3, [0.67, -0.54, 1.6]), (1.0, CONFLICT.sum(0))):
        found = tf.reduce_sum(kept(rows, uniforms, tf.fill([3], tf.constant(leak, tf.float64))) * rows, axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_elements_without_gradients_have_none():
    rows = tf.constant([[1.0, 0.0], [-2.0, 0.0]], tf.float64)
    np.testing.assert_allclose(purity(rows), [1 / 3, 1 / 2])
    factors = kept(rows, tf.constant([3 / 11, 10 / 11], tf.float64), tf.zeros([2], tf.float64))
    np.testing.assert_array_equal(factors * rows, [[1, 0], [0, 0]])


def test_signs_are_drawn_with_the_purity_as_probability():
    size, steps = 50, 200
    gradients = np.float32(np.tile([[3.0], [-1.0], [-0.5]], size))
    blend, variable = blend_of(gates.GradDrop(seed=7), 3), tf.Variable(tf.zeros([size]))
    step = tf.function(lambda step: train(blend, variable, gradients, step=step)[0])
    found = np.array([step(tf.constant(i, tf.int64)) for i in range(steps)])
    assert set(np.unique(found)) == {3.0, -1.5}
    share, expected = np.mean(found == 3.0), 3 / 4.5
    assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / found.size)
    # Neither from element to element nor from step to step do the choices repeat themselves.
    for a, b in ((found[:, 1:], found[:, :-1]), (found[1:], found[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def shared_and_own(gate, weights=None, dtype="float32"):
    """Combined gradients of two variables that both losses act on, and of one for each loss."""
    sizes = {"trunk/kernel": 4, "last/kernel": 4, "a/kernel": 1, "b/kernel": 1}
    variables = [tf.Variable(tf.ones([size], dtype), name=name) for name, size in sizes.items()]
    blend = bl.Blend(["a", "b"], gate, None if weights is None else bl.modes.Hard())
    with tf.GradientTape(persistent=True) as tape:
        first, second, of_a, of_b = (tf.reduce_sum(v) for v in variables)
        values = {"a": 2 * first + 2 * second + 5 * of_a, "b": -first - second - 7 * of_b}
    found = blend.gradients(tape, values, variables, step=0)
    return [np.array(gradient) for gradient in found.gradients], found.output.weights.numpy()


def test_variables_of_one_loss_keep_their_gradient():
    (first, second, of_a, of_b), _ = shared_and_own(gates.GradDrop(seed=0))
    assert set(first) | set(second) == {2.0, -1.0}
    assert (first != second).any()  # variables have numbers of their own
    np.testing.assert_array_equal([of_a, of_b], [[5], [-7]])


@pytest.mark.parametrize(("variables", "places"), [("last", [1]), (["trunk/*"], [0])], ids=str)
def test_signs_are_chosen_where_they_are_asked_for(variables, places):
    gradients, _ = shared_and_own(gates.GradDrop(seed=0, variables=variables))
    for place in (0, 1):
        assert set(gradients[place]) <= ({2.0, -1.0} if place in places else {1.0})
    np.testing.assert_array_equal(gradients[2:], [[5], [-7]])


@pytest.mark.parametrize("task_specific", ["unweighted", "weighted"])
def test_a_mode_that_chooses_one_loss_leaves_its_gradient_whole(task_specific):
    (first, second, of_a, of_b), weights = shared_and_own(gates.GradDrop(seed=0, task_specific=task_specific), "hard")
    np.testing.assert_array_equal(weights, [2, 0])
    np.testing.assert_array_equal([first, second], np.full((2, 4), 4.0))
    np.testing.assert_array_equal([of_a, of_b], [[5], [-7]] if task_specific == "unweighted" else [[10], [0]])


def test_a_leak_of_one_is_the_sum():
    (first, second, _, _), _ = shared_and_own(gates.GradDrop(1, seed=0))
    np.testing.assert_array_equal([first, second], np.ones((2, 4)))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_variables_of_every_precision(dtype):
    (first, second, _, _), _ = shared_and_own(gates.GradDrop(seed=0), dtype=dtype)
    expected, _ = shared_and_own(gates.GradDrop(seed=0))
    assert first.dtype == dtype
    np.testing.assert_array_equal([first, second], expected[:2])
