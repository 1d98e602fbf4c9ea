"""`GradNorm`: slopes, the gradient in the weights, the fixed point, and steps that are refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from blendloss.gates._from_gradients._grad_norm import slopes, training_rates
from tests.gates.gradients import steps_of, train
from tests.gates.two_outputs import CONFLICT, X, Y, model_of
from tests.gates.values import blend_of


@pytest.mark.parametrize(
    ("alpha", "signs"), [(0.0, [-1, 1, 1]), (0.12, [-1, -1, 1]), (1.0, [1, -1, 1]), (1.5, [1, -1, 1])]
)
def test_slopes_are_those_of_the_reference_computation(alpha, signs):
    """L_grad by autograd in float64, of these gradients, initial losses 2, 4, 1/2 and losses 1, 3.6, 0.3."""
    norms = np.linalg.norm(CONFLICT, axis=1)
    rates = training_rates(tf.constant([1, 3.6, 0.3], tf.float64), tf.constant([2, 4, 0.5], tf.float64))
    np.testing.assert_allclose(rates, np.array([0.5, 0.9, 0.6]) / (2 / 3), rtol=1e-15)
    found = slopes(tf.ones([3], tf.float64), tf.constant(norms), rates, alpha)
    np.testing.assert_allclose(found, signs * norms, rtol=1e-15)


@pytest.mark.parametrize("form", ["renormalized", "softmax", "exponential"])
def test_the_weights_gradient_is_that_of_the_gradients_distances(form):
    """Central differences of L_grad in what trains, the targets held; float64."""
    k, steps = 4, steps_of(4, 2)
    norms, losses = np.linalg.norm(steps.gradients[1], axis=1), steps.losses
    gate = gates.GradNorm(0.7, form=form, initial_losses=list(losses[0]), dtype="float64")
    blend, variable = blend_of(gate, k), tf.Variable(tf.zeros([6], tf.float64))
    start = np.array([1.2, 0.3, 1.9, 0.6]) if form == "renormalized" else np.array([0.3, -1.0, 0.6, 0.1])
    start = start if form == "softmax" else start * 4 / start.sum() if form == "renormalized" else _brought(start)
    gate.parameters.assign(start)
    with tf.GradientTape(persistent=True) as tape:
        values = {
            name: losses[1, i] + tf.tensordot(steps.gradients[1, i], variable, 1) for i, name in enumerate(blend.names)
        }
    found = blend.gradients(tape, values, [variable, *blend.trainable_variables], step=0).gradients[1]

    def weights_at(parameters):
        exponentials = np.exp(parameters)
        if form == "softmax":
            return k * exponentials / exponentials.sum()
        return parameters if form == "renormalized" else exponentials

    ratios = losses[1] / losses[0]
    targets = (weights_at(start) * norms).mean() * (ratios / ratios.mean()) ** 0.7

    def distance(parameters):
        return np.abs(weights_at(parameters) * norms - targets).sum()

    step = 1e-6
    expected = [(distance(start + e) - distance(start - e)) / (2 * step) for e in step * np.eye(k)]
    # Rounding of the distances, of size 20, over the step.
    np.testing.assert_allclose(found, expected, rtol=0, atol=20 * 2.0**-52 / step)


def _brought(parameters):
    return parameters + np.log(4 / np.exp(parameters).sum())


def test_weights_that_are_negative_or_zero_still_grow_by_their_gradients():
    weights, norms, rates = (tf.constant(v, tf.float64) for v in ([-0.5, 0.0, 3.5], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]))
    found = slopes(weights, norms, rates, 0.0)
    # sizes 0.5, 0, 3.5, mean 4 / 3
    np.testing.assert_array_equal(found, [1, -2, 1])


@pytest.mark.parametrize("form", ["renormalized", "softmax", "exponential"])
def test_gradients_come_to_the_same_length(form):
    """With alpha = 0 the fixed point of constant gradients is w_k in proportion to 1 / |G_k|."""
    lengths = np.array([1.0, 2.0, 4.0])
    blend, variable = blend_of(gates.GradNorm(0, form=form), 3), tf.Variable(tf.zeros([3]))
    step = tf.function(lambda rate: train(blend, variable, np.float32(np.diag(lengths)), rate=rate)[1].weights)
    for rate in (0.02, 0.002, 0.0002):
        for _ in range(300):
            weights = step(rate)
    # Each sign step is up to 4 times 2 times the rate, and the weights go to and fro by some of these.
    np.testing.assert_allclose(weights, 3 / lengths / (1 / lengths).sum(), atol=20 * 0.0002)


def test_a_loss_that_starts_at_zero_is_compared_with_its_first_value_above():
    blend, variable = blend_of(gates.GradNorm(1.0), 2), tf.Variable(tf.zeros([2]))
    gradients = np.float32([[3, 0], [0, 4]])
    for step, losses in enumerate([[0.0, 0.0], [0.0, 2.0], [5.0, 1.0]]):
        train(blend, variable, gradients, tf.constant(losses), step=step)
    np.testing.assert_array_equal(blend.gate.references, [5, 2])
    np.testing.assert_allclose(blend.gate.rates, [1 / 0.75, 0.5 / 0.75], rtol=1e-6)


def test_a_negative_loss_is_refused_where_it_is_raised_to_a_power():
    gradients, losses = np.float32([[3, 0], [0, 4]]), tf.constant([-1.0, 2.0])
    variable = tf.Variable(tf.zeros([2]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="must not be negative"):
        train(blend_of(gates.GradNorm(), 2), variable, gradients, losses)
    assert np.isfinite(train(blend_of(gates.GradNorm(0), 2), variable, gradients, losses)[1].weights).all()


def test_a_step_that_takes_the_weights_below_zero_together_is_refused():
    blend, variable = blend_of(gates.GradNorm(0), 2), tf.Variable(tf.zeros([2]))
    gradients = np.float32([[3, 0], [0, 4]])
    train(blend, variable, gradients, rate=10.0)  # 1 + 30 and 1 - 40
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have a positive sum"):
        train(blend, variable, gradients)


def test_losses_before_are_no_initial_losses():
    with pytest.raises(ValueError, match="`initial_losses` must be None"):
        gates.GradNorm(initial_losses=[1.0], relative_to="previous")


def test_a_models_optimizers_train_network_and_weights():
    """The first step of Adam is its learning rate along the sign: 1.025 and 0.975, as one length is above the mean."""
    model = model_of(gates.GradNorm(), gate_optimizer=keras.optimizers.Adam(0.025))
    history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    weights = np.array([history["gate/a"], history["gate/b"]])
    np.testing.assert_allclose(weights.sum(0), 2, rtol=1e-6)
    assert (np.abs(weights - 1) > 0.01).all()
    model = model_of(gates.GradNorm(0), gate_optimizer=keras.optimizers.Adam(0.025))
    model.fit(X, Y, batch_size=32, epochs=1, verbose=0)
    np.testing.assert_allclose(np.sort(model.blend.gate.parameters), [0.975, 1.025], atol=1e-5)
