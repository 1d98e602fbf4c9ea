"""ResidualState: the running mean, the logits, what leaves the state alone, and replicas."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates import statistics
from tests.gates.instances import STATISTICS, attached, drive, every_statistic, logits_of, state_of

EPS = 2.0**-23
RNG = np.random.default_rng(0)
STEPS = 20
RESIDUALS = (RNG.laplace(size=(STEPS, 33)) * np.linspace(3, 0.5, STEPS)[:, None]).astype(np.float32)


def gate_of(statistic=None, thresholds=(1.0,), **options):
    options = {"width": 0.5, **options}
    return attached(
        lambda: gates.ResidualState(statistic or statistics.MeanAbsolute(), list(thresholds), **options),
        len(thresholds) + 1,
    )


def weighted_mean(values, memory):
    """sum_t a (1 - a)^(T - t) s_t over the sum of those weights, a = 1 / memory."""
    weights = (1 - 1 / memory) ** np.arange(len(values))[::-1]
    return np.sum(weights * values) / np.sum(weights)


@functools.cache
def observed_by(statistic):
    return np.array([float(statistic(residual)) for residual in RESIDUALS])


@every_statistic
@pytest.mark.parametrize("memory", [1.0, 7.0, 1e6])
def test_the_running_mean_is_the_weighted_mean_of_all_batches(statistic, memory):
    gate = gate_of(statistic, memory=memory)
    drive(gate, RESIDUALS)
    observed = observed_by(statistic)
    memories = statistic.running_mean_memories(memory)
    expected = [weighted_mean(observed, m) for m in memories]
    # Each step rounds the difference, the rate and the sum, about 3 units; those of all steps may add up.
    np.testing.assert_allclose(gate.means, expected, rtol=0, atol=3 * STEPS * EPS * observed.max())
    seen = [-np.expm1(STEPS * np.log1p(-1 / m)) if m > 1 else 1 for m in memories]
    np.testing.assert_allclose(gate.weight, seen, rtol=2 * STEPS * EPS)
    assert int(gate.skipped) == 0


def test_one_batch_is_its_own_mean():
    for _, statistic in STATISTICS:
        gate = gate_of(statistic, memory=1000.0)
        drive(gate, RESIDUALS[:1])
        np.testing.assert_allclose(gate.means, float(statistic(RESIDUALS[0])), rtol=2 * EPS)


@pytest.mark.parametrize(
    ("direction", "thresholds", "expected"),
    [("rising", [1, 2, 2.5], [0, 3, 2, -1]), ("falling", [2.5, 2, 1], [0, 3, 4, 1]), ("rising", [1.75], [0, 0])],
)
def test_logits_add_up_the_distances_to_the_thresholds(direction, thresholds, expected):
    gate = gate_of(thresholds=thresholds, width=0.25, direction=direction)
    drive(gate, [[-1.75, 1.75]])
    np.testing.assert_array_equal(logits_of(gate), expected)


@pytest.mark.parametrize("direction", ["rising", "falling"])
def test_at_a_threshold_both_neighbours_have_the_largest_logit(direction):
    thresholds = [1.0, 2.0, 3.0] if direction == "rising" else [3.0, 2.0, 1.0]
    for j, threshold in enumerate(thresholds):
        gate = gate_of(thresholds=thresholds, direction=direction, memory=5)
        drive(gate, [[threshold, -threshold]] * 9)
        logits = logits_of(gate).numpy()
        assert logits[j] == logits[j + 1] == logits.max()
        assert (np.delete(logits, [j, j + 1]) < logits.max()).all()


def test_width_is_the_change_that_moves_the_odds_by_e():
    weights = []
    for value in (1.0, 1.3):
        gate = gate_of(width=0.3)
        drive(gate, [[value]])
        weights.append(bl.modes.softmax(logits_of(gate)).numpy())
    odds = [w[1] / w[0] for w in weights]
    np.testing.assert_allclose(odds[1] / odds[0], np.e, rtol=20 * EPS)


def test_before_the_first_update_the_first_loss_is_chosen():
    gate = gate_of(thresholds=[1.0, 2.0])
    np.testing.assert_array_equal(logits_of(gate, residual=RESIDUALS[0], training=False), [0, -np.inf, -np.inf])


@every_statistic
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_batch_that_is_not_finite_leaves_the_state_and_is_counted(statistic, bad):
    gate = gate_of(statistic)
    broken = RESIDUALS[0].copy()
    broken[5] = bad
    drive(gate, [broken])
    np.testing.assert_array_equal(logits_of(gate), [0, -np.inf])
    drive(gate, RESIDUALS[:2])
    before = state_of(gate)
    assert int(gate.skipped) == 1
    drive(gate, [broken, broken])
    after = state_of(gate)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert int(gate.skipped) == 3
    assert not np.isnan(logits_of(gate)).any()  # -inf where there is no reading yet


def test_an_empty_batch_and_equal_residuals_are_skipped():
    gate = gate_of(statistics.Kurtosis())
    drive(gate, [[], [0.1] * 6])
    assert int(gate.skipped) == 2
    np.testing.assert_array_equal(gate.weight, [0])


@every_statistic
def test_elements_without_weight_do_not_count(statistic):
    y_pred = RESIDUALS[0][:, np.newaxis].copy()
    weight = (RNG.uniform(size=33) < 0.5).astype(np.float32)
    garbage = np.where(weight[:, np.newaxis] > 0, y_pred, np.float32(np.nan))
    kept = gate_of(statistic)
    drive(kept, [y_pred[weight > 0, 0]])
    by_weight, by_mask = gate_of(statistic), gate_of(statistic)
    for gate, given, options in ((by_weight, y_pred, {"sample_weight": 5 * weight}), (by_mask, garbage, {})):
        blend = bl.Blend({"a": "mse", "b": "mae"}, gate)
        given = tf.constant(given)
        if gate is by_mask:
            given._keras_mask = tf.constant(weight > 0)
        blend.compute(np.zeros_like(y_pred), given, step=0, **options)
        assert int(gate.skipped) == 0
        np.testing.assert_allclose(gate.means, kept.means, rtol=20 * EPS)


def test_the_residual_is_prediction_less_target():
    seen = []

    class Signed(statistics.Statistic):
        def compute(self, residual, counted):
            seen.append(residual.numpy().tolist())
            return tf.reduce_mean(residual)

        def get_config(self):
            return {}

    blend = bl.Blend({"a": "mse", "b": "mae"}, gates.ResidualState(Signed(), [0.0], width=1))
    blend.compute([[1.0, 2.0]], [[5.0, 1.0]], step=0)
    assert seen == [[4.0, -1.0]]


def test_no_gradient_flows_through_the_statistic():
    blend = bl.Blend({"a": "mse", "b": "mae"}, gates.ResidualState(statistics.MeanAbsolute(), [1.0], width=1))
    y_pred = tf.constant([[2.0], [-3.0]])
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        output = blend.compute(tf.zeros_like(y_pred), y_pred, step=0)
    weights = output.weights.numpy()
    expected = weights[0] * y_pred.numpy() + weights[1] * np.sign(y_pred) / 2  # d mean(r^2), d mean |r|
    np.testing.assert_allclose(tape.gradient(output.value, y_pred), expected, rtol=4 * EPS)


def test_a_falling_loss_ends_in_stagnation():
    gate = gate_of(statistics.Stagnation(ratio=10.0), [0.9], width=0.01, memory=2)
    falling = [[3.0 * 0.9**t] for t in range(40)]
    drive(gate, falling)
    assert np.argmax(logits_of(gate)) == 0
    drive(gate, falling[-1:] * 150)
    assert np.argmax(logits_of(gate)) == 1


def test_replicas_see_the_residuals_of_all(replicas):
    with replicas.scope():
        gate = gates.ResidualState(statistics.QuantileAbsolute(0.3), [1.0], width=0.5, memory=3)
        blend = bl.Blend({"a": "mse", "b": "mae"}, gate)

    @tf.function
    def step(y_pred, weight, index):
        def run(y, w):
            return blend.compute(tf.zeros_like(y), y, w, step=index).weights

        return replicas.run(run, args=(y_pred, weight))

    alone = gate_of(statistics.QuantileAbsolute(0.3), memory=3)
    for index in range(3):
        batch = RESIDUALS[2 * index : 2 * index + 2]
        weight = (RNG.uniform(size=batch.shape) < 0.7).astype(np.float32)

        def part(values):
            return replicas.experimental_distribute_values_from_function(
                lambda context: tf.constant(values[context.replica_id_in_sync_group])
            )

        weights = replicas.experimental_local_results(
            step(part(batch[..., np.newaxis]), part(weight), tf.constant(index))
        )
        drive(alone, [batch[weight > 0]])
        np.testing.assert_array_equal(*weights)
        np.testing.assert_allclose(weights[0], bl.modes.softmax(logits_of(alone)), rtol=20 * EPS)
    for variable, expected in zip(gate.variables, state_of(alone), strict=True):
        for copy in replicas.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy, expected, rtol=4 * EPS)
