"""`LRAnnealing`: the means of its forms, fixed points, and when its weights move."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from tests.gates.gradients import train
from tests.gates.two_outputs import CONFLICT
from tests.gates.values import blend_of


def test_the_code_averages_over_variables_and_the_paper_over_elements():
    small, large = tf.Variable(tf.ones([1])), tf.Variable(tf.ones([9]))
    for form, mean in (("code", (8 + 1) / 2), ("paper", (8 + 9) / 10), ("mean", (8 + 9) / 10)):
        blend = bl.Blend(["r", "b"], gates.LRAnnealing(form, momentum=0, every=1))
        with tf.GradientTape(persistent=True) as tape:
            reference = 36 * small[0] + tf.reduce_sum(large)
            values = {"r": reference, "b": 8 * small[0] + tf.reduce_sum(large)}
        weights = blend.gradients(tape, values, [small, large], step=0).output.weights
        size = (36 + 9) / 10 if form == "mean" else 36
        np.testing.assert_allclose(weights, [1, size / mean], rtol=1e-6)


def test_the_codes_fixed_point_is_the_root_of_the_papers():
    gradients, variable = np.float32(CONFLICT), tf.Variable(tf.zeros([3]))
    found = {}
    for form in ("code", "paper"):
        blend = blend_of(gates.LRAnnealing(form, every=1), 3)
        step = tf.function(lambda blend=blend: train(blend, variable, gradients)[1].weights)
        for _ in range(300):
            found[form] = step().numpy()
    # 0.9^300 is nothing; the weights' own rounding is all that is left.
    np.testing.assert_allclose(found["paper"], [1, 1 / 0.7, 1 / 0.8], rtol=1e-6)
    np.testing.assert_allclose(found["code"], np.sqrt(found["paper"]), rtol=1e-6)


@pytest.mark.parametrize("reference", ["c", 2])
def test_a_reference_that_is_no_loss_of_the_blend(reference):
    with pytest.raises(ValueError, match="`reference` must be"):
        blend_of(gates.LRAnnealing(reference=reference), 2)


@pytest.mark.parametrize("form", ["norm_sum", "norm_mean"])
def test_forms_by_norms_refuse_a_reference(form):
    with pytest.raises(ValueError, match="`reference` must be None"):
        gates.LRAnnealing(form, reference=0)


def test_weights_move_in_the_steps_that_are_due():
    blend, variable = blend_of(gates.LRAnnealing(every=10), 3), tf.Variable(tf.zeros([3]))
    step = tf.function(lambda step: train(blend, variable, np.float32(CONFLICT), step=step)[1].weights)
    weights = [step(tf.constant(i, tf.int64)).numpy() for i in range(21)]
    changed = [i for i in range(1, 21) if (weights[i] != weights[i - 1]).any()]
    assert changed == [10, 20]
    np.testing.assert_allclose(weights[5], [1, 0.9 + 0.1 / 0.7, 0.9 + 0.1 / 0.8], rtol=1e-6)
