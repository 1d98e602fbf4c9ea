"""What holds for every gate: golden values, shapes, state, saving, attaching, regimes, one trace."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates import Needs, statistics
from tests.gates import golden
from tests.gates.golden import ROUNDING
from tests.gates.instances import (
    FEATURES,
    GATES,
    attach,
    blend_of,
    drive,
    every_gate,
    logits_of,
    names,
    penalties,
    state_of,
    weights_of,
)

RNG = np.random.default_rng(0)
RESIDUALS = RNG.normal(size=(8, 64)).astype(np.float32)
METRICS = [2.0, 1.75, 1.75, 0.5, 0.75, 2.5, 2.5, 2.5]


def metrics_for(gate):
    """What a gate that observes a metric is shown."""
    return METRICS if isinstance(gate, gates.MetricGate) else []


# Values


@pytest.mark.parametrize("row", golden.GATES, ids=lambda row: row.id)
def test_golden(row):
    gate = row.make()
    blend = blend_of(gate, len(row.weights))
    drive(gate, row.residuals, row.metrics)
    weights = blend.compute([[0.0]], [[2.0]], step=row.step, training=False, features=FEATURES).weights
    np.testing.assert_allclose(weights, row.weights, rtol=0, atol=ROUNDING * sum(row.weights))
    np.testing.assert_array_equal(weights == 0, np.equal(row.weights, 0))


def test_everything_public_has_a_golden_row():
    covered = {type(row.make()).__name__ for row in golden.ROWS}
    rooms = [gates, *(getattr(gates, name) for name in gates.__all__ if inspect.ismodule(getattr(gates, name)))]
    public = [getattr(room, name) for room in rooms for name in room.__all__]
    made = {subject.__name__ for subject in public if inspect.isclass(subject) and not inspect.isabstract(subject)}
    assert covered == made - {"Context", "Efficiency", "Gating", "LossGradients", "Needs"}


@every_gate
def test_logits_are_a_vector_of_k(case):
    gate = case.attached()
    logits = logits_of(gate, 3, RESIDUALS[0], training=True)
    assert logits.shape == ((case.k,) if case.vectors is None else (case.vectors, case.k))
    assert logits.dtype == tf.float32
    assert not np.isnan(logits).any()
    assert np.isfinite(logits).any()


@every_gate
@pytest.mark.parametrize("mode", [bl.modes.Soft(), bl.modes.Hard()], ids=["soft", "hard"])
def test_every_mode_keeps_the_total(case, mode):
    gate = case.make()
    training = Needs.GRADIENTS not in gate.needs  # which outside training are those of the last step
    blend = blend_of(gate, case.k, mode)
    weights = blend.compute([[0.0]], [[2.0]], step=250, training=training, features=FEATURES).weights.numpy()
    assert weights.shape == (case.k,)
    assert (weights >= 0).all()
    if case.id == "score-matching":  # of the curvature, in units of the scale
        weights = weights * gate.solution.curvature.numpy() / np.exp(2 * gate.log_scale.numpy())
    np.testing.assert_allclose(weights.astype(np.float64).sum(), case.total, rtol=ROUNDING)
    if isinstance(mode, bl.modes.Hard):
        np.testing.assert_allclose(np.sort(weights)[-1], case.total, rtol=ROUNDING)


@pytest.mark.parametrize("weights", [[1, 10], [3.0, 0.0, 7.0], [1e-3, 1e3], [0.1, 0.2, 0.3, 0.4]], ids=str)
def test_fixed_weights_are_themselves(weights):
    output = blend_of(gates.Fixed(weights), len(weights)).compute([[0.0]], [[2.0]])
    # The logarithm, up to 7 in size, is rounded, then the exponential.
    np.testing.assert_allclose(output.weights, weights, rtol=(7 / 2 + 3) * 2.0**-23)
    np.testing.assert_allclose(output.value, 4 * np.sum(weights), rtol=(7 / 2 + 5) * 2.0**-23)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@every_gate
def test_dtypes(case, dtype):
    made = case.make()
    gate = type(made).from_config({**made.get_config(), "dtype": dtype})
    blend_of(gate, case.k)
    logits = logits_of(gate, 3, tf.constant(RESIDUALS[0], tf.float64), training=True)
    assert logits.dtype == dtype
    if case.id != "network":  # whose network has a policy of its own
        assert all(v.dtype in (dtype, "int32", "int64") for v in gate.variables)


# State


@every_gate
def test_variables_are_tracked(case):
    gate = case.make()
    blend = blend_of(gate, case.k)
    for owner in (gate, blend):
        assert tuple(v.name for v in owner.trainable_variables) == case.trained
        assert tuple(v.name for v in owner.non_trainable_variables) == case.kept
    gate.trainable = False
    assert gate.trainable_variables == blend.trainable_variables == []


@every_gate
def test_only_a_training_step_of_an_updating_gate_changes_state(case):
    gate = case.attached()
    drive(gate, RESIDUALS[:1], metrics_for(gate)[:1])
    before = state_of(gate)
    logits_of(gate, 3, RESIDUALS[1], training=False)
    for a, b in zip(before, state_of(gate), strict=True):
        np.testing.assert_array_equal(a, b)
    logits_of(gate, 4, RESIDUALS[1], training=True)  # in which a gate that weighs anew every second step does
    changed = any((a != b).any() for a, b in zip(before, state_of(gate), strict=True))
    assert changed == gate.stateful == case.updates


@every_gate
def test_configuration_round_trip(case):
    gate = case.attached()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(gate)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(gate)
    assert json.dumps(again.get_config()) == json.dumps(gate.get_config())  # networks come back with lists for tuples
    attach(again, case.k)
    for one in (gate, again):
        drive(one, RESIDUALS[:3], metrics_for(one))
    np.testing.assert_array_equal(logits_of(again, 250), logits_of(gate, 250))
    for a, b in zip(state_of(again), state_of(gate), strict=True):
        np.testing.assert_array_equal(a, b)


@every_gate
def test_state_can_be_put_back(case):
    """A gate whose variables are restored continues bit for bit."""
    gate, again = case.attached(), case.attached()
    metrics = metrics_for(gate)
    drive(gate, RESIDUALS[:3], metrics[:5])
    for source, target in zip(gate.variables, again.variables, strict=True):
        target.assign(source)
    for one in (gate, again):
        drive(one, RESIDUALS[3:], metrics[5:])
    for a, b in zip(state_of(again), state_of(gate), strict=True):
        np.testing.assert_array_equal(a, b)


# Attaching


@every_gate
def test_a_gate_belongs_to_blends_of_the_same_losses(case):
    gate = case.attached()
    count = len(gate.variables)
    attach(gate, case.k)
    assert gate.names == names(case.k)
    assert len(gate.variables) == count
    with pytest.raises(ValueError, match="A gate can be shared only by blends of the same losses"):
        gate.attach(("x", "y", "z")[: case.k], penalties(case.k))


@every_gate
def test_a_gate_of_no_blend_says_so(case):
    gate = case.make()
    with pytest.raises(ValueError, match="belongs to no blend yet"):
        _ = gate.names
    if isinstance(gate, gates.MetricGate):
        with pytest.raises(ValueError, match="belongs to no blend yet"):
            gate.observe(1.0)
    for method in ("law", "sigmas", "posterior", "weights_and_scale", "proportions_and_scales"):
        if hasattr(gate, method):
            with pytest.raises(ValueError, match="belongs to no blend yet"):
                getattr(gate, method)()


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("weights", lambda: gates.Fixed([1, 2])),
        ("initial", lambda: gates.Manual([1, 2])),
        ("schedule", lambda: gates.Scheduled([1.0, 2.0])),
        ("initial", lambda: gates.Learned([1, 2])),
        ("form", lambda: gates.Uncertainty(["regression", "classification"])),
        ("thresholds", lambda: gates.Threshold("m", [1.0])),
        ("thresholds", lambda: gates.ResidualState(statistics.Kurtosis(), [4.0], width=1)),
        ("initial_losses", lambda: gates.GradNorm(initial_losses=[1.0, 2.0])),
        ("leak", lambda: gates.GradDrop([0.5, 0.0], seed=0)),
    ],
    ids=[
        "fixed",
        "manual",
        "scheduled",
        "learned",
        "uncertainty",
        "threshold",
        "residual-state",
        "grad-norm",
        "grad-drop",
    ],
)
def test_a_gate_for_two_losses_refuses_three_and_still_fits_two(argument, make):
    gate = make()
    with pytest.raises(ValueError, match=f"`{argument}` must .*3 losses.*Received:"):
        blend_of(gate, 3)
    blend_of(gate, 2)
    assert gate.names == ("a", "b")


# Regimes


def every_step(made):
    """A step of every gate: an observation where it takes one, and the logits of a training step."""

    def every(step, residual, metric):
        for gate in made:
            if isinstance(gate, gates.MetricGate):
                gate.observe(metric)
        return [logits_of(gate, step, residual, training=True) for gate in made]

    return every


def at(step):
    return tf.constant(10 * step, tf.int64), tf.constant(RESIDUALS[step]), tf.constant(METRICS[step])


@functools.cache
def eagerly():
    """The logits of every gate at every step, and their states after the last."""
    made = [case.attached() for case in GATES]
    logits = [every_step(made)(*at(step)) for step in range(len(METRICS))]
    return logits, [state_of(gate) for gate in made]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_every_regime_gives_the_same(jit_compile):
    made = [case.attached() for case in GATES]
    expected, states = eagerly()
    signature = [tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.float32)]
    function = tf.function(every_step(made), input_signature=signature, jit_compile=jit_compile)
    for step in range(len(METRICS)):
        for case, a, b in zip(GATES, function(*at(step)), expected[step], strict=True):
            # Statistics below 10 and running means are known to a dozen roundings, over widths of at least 1/2.
            np.testing.assert_allclose(a, b, rtol=2 * ROUNDING, atol=2 * 2 * 12 * 2.0**-23, err_msg=case.id)
    for case, gate, state in zip(GATES, made, states, strict=True):
        for x, y in zip(state_of(gate), state, strict=True):
            np.testing.assert_allclose(x, y, rtol=12 * 2.0**-23, err_msg=case.id)
    assert function.experimental_get_tracing_count() == 1


def test_a_thousand_changes_are_one_trace():
    made = [case.make() for case in GATES]
    blends = [
        blend_of(gate, case.k, bl.modes.Hard() if case.k == 2 else None) for gate, case in zip(made, GATES, strict=True)
    ]

    @tf.function
    def every(step, y_pred, metric):
        for gate in made:
            if isinstance(gate, gates.MetricGate):
                gate.observe(metric)
        return [
            weights_of(blend, step, tf.repeat(y_pred[:, 0], 2))
            if Needs.GRADIENTS in blend.gate.needs
            else blend.compute(tf.zeros_like(y_pred), y_pred, step=step, features=features).weights
            for blend in blends
        ]

    features = tf.repeat(FEATURES, 8, axis=0)
    seen: list[set[Any]] = [set() for _ in blends]
    trained = [variable for gate in made for variable in gate.trainable_variables]
    for step in range(1000):
        if step % 100 == 0:
            for variable in trained:
                variable.assign(RNG.normal(size=variable.shape))
        y_pred = tf.constant(RESIDUALS[step % 8, :8, np.newaxis] * (2.5 - step / 400))
        results = every(tf.constant(step), y_pred, tf.constant(METRICS[step % 8] if step else 0.25))
        if step % 50 == 0 or step % 7 == 0:
            for values, weights in zip(seen, results, strict=True):
                values.add(tuple(weights.numpy().tolist()))
    assert every.experimental_get_tracing_count() == 1
    for case, values in zip(GATES, seen, strict=True):
        assert (len(values) == 1) == case.constant, case.id
