"""Eager, graph, XLA, unknown batch, every dtype, one trace, lazy: the same blend."""

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.blend.instances import FROM_GRADIENTS, GATES, LOSSES, MODES, OF_VALUES, Y_PRED, Y_TRUE, fixed

# Regimes


@pytest.mark.parametrize("mode", MODES)
def test_eager_graph_xla_and_unknown_batch_agree(mode):
    blend = bl.Blend(LOSSES, bl.gates.Learned([0.3, -0.2, 0.1]), MODES[mode])

    def step_of(y_true, y_pred, step):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = blend(y_true, y_pred, step=step)
        return [value, *tape.gradient(value, [y_pred, *blend.trainable_variables])]

    unknown = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 2]), tf.TensorSpec([], tf.int64)]
    functions = [
        step_of,
        tf.function(step_of),
        tf.function(step_of, jit_compile=True),
        tf.function(step_of, input_signature=unknown),
    ]
    arguments = [tf.constant(Y_TRUE), tf.constant(Y_PRED), tf.constant(7, tf.int64)]
    reference, *others = ([np.array(tensor) for tensor in function(*arguments)] for function in functions)
    for other in others:
        for expected, found in zip(reference, other, strict=True):
            np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_floating_dtype(dtype):
    value = fixed()(tf.cast(Y_TRUE, dtype), tf.cast(Y_PRED, dtype))
    assert value.dtype == ("float64" if dtype == "float64" else "float32")
    precision = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-6, "float64": 1e-6}[dtype]  # of the inputs
    np.testing.assert_allclose(value, fixed()(Y_TRUE, Y_PRED), rtol=precision)


def test_half_precision_does_not_overflow():
    value = bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))(
        tf.zeros([4, 1], tf.float16), tf.fill([4, 1], tf.constant(1000.0, tf.float16))
    )
    assert float(value) == 1e6


@pytest.mark.parametrize("regime", ["eager", "xla"])
def test_float32_mean_over_two_to_the_24_elements(regime):
    values = np.random.default_rng(0).normal(size=2**24).astype("float32")
    blend = bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))

    def value_of(y_pred):
        return blend(tf.zeros_like(y_pred), y_pred)

    value = (tf.function(value_of, jit_compile=True) if regime == "xla" else value_of)(tf.constant(values))
    reference = np.mean(values.astype("float64") ** 2)
    assert abs(float(value) - reference) / reference <= 1e-6


@pytest.mark.parametrize(
    ("gate", "mode"),
    [
        *((gate, "concrete") for gate in {**GATES, **OF_VALUES, **FROM_GRADIENTS}),
        ("learned", "reinmax"),
        ("scheduled", "hard"),
    ],
)
def test_one_trace_over_two_hundred_changes(gate, mode):
    """Steps, weights, temperatures and stages change; the function is traced once."""
    annealed = bl.modes.Annealed(bl.schedules.exponential(5.0, 0.1, steps=1000), seed=1)
    made = {**GATES, **OF_VALUES, **FROM_GRADIENTS}[gate]()
    blend = bl.Blend(LOSSES, made, annealed if mode == "concrete" else MODES[mode])
    prediction = tf.Variable(Y_PRED)

    @tf.function
    def step_of(y_true, step):
        variables = [prediction, *blend.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            values = blend.values(y_true, prediction)
            residuals = blend.residuals(y_true, prediction)
            if Needs.GRADIENTS not in blend.gate.needs:
                output = blend.compute(y_true, prediction, step=step)
        if Needs.GRADIENTS in blend.gate.needs:
            gradients, output = blend.gradients(tape, values, variables, step=step, residuals=residuals)
        else:
            gradients = tape.gradient(output.value, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(tf.multiply(gradient, 0.05))
        if isinstance(blend.gate, bl.gates.MetricGate):
            falling = 1 - tf.cast(step, tf.float32) / 1000
            blend.gate.observe(falling if gate == "threshold" else 1.0)
        return output.weights

    steps = range(0, 1000, 5)
    seen = {tuple(step_of(tf.constant(Y_TRUE), tf.constant(step)).numpy().tolist()) for step in steps}
    assert step_of.experimental_get_tracing_count() == 1
    assert len(seen) > (1 if mode == "hard" or gate in ("plateau", "threshold", "tchebycheff") else 2)


# Lazy


@pytest.mark.parametrize("gate", [gate for gate in GATES if gate != "score-matching"])  # of penalties alone
def test_lazy_hard_under_xla_with_a_batch_known_at_run_time_only(gate):
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "huber": "huber", "mae": "mae"}, GATES[gate](), bl.modes.Hard())

    @tf.function(input_signature=[tf.TensorSpec([None, 2])] * 2, jit_compile=True)
    def gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = blend(y_true, y_pred, step=1)
        return tape.gradient(value, y_pred)

    prediction = tf.constant(np.tile(Y_PRED, (4, 1)))
    target = tf.constant(np.tile(Y_TRUE, (4, 1)))
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = blend(target, prediction, step=1, training=gate != "residual-state")
    compiled_first = gradient(target, prediction)
    if gate != "residual-state":  # whose state the first call has changed
        np.testing.assert_allclose(compiled_first, tape.gradient(value, prediction), rtol=1e-5, atol=1e-7)
    assert np.isfinite(compiled_first).all()


def test_lazy_losses_may_differ_in_dtype():
    def double(y_true, y_pred):
        return tf.cast(tf.reduce_mean(tf.abs(y_true - y_pred), axis=-1), tf.float64)

    blend = bl.Blend({"a": "mse", "b": double}, bl.gates.Scheduled(bl.schedules.switch_at(3)), bl.modes.Hard())
    assert float(tf.function(lambda step: blend([[0.0]], [[3.0]], step=step))(tf.constant(5))) == 3.0


def test_lazy_hard_evaluates_the_chosen_loss_alone():
    evaluated = []

    def spy(name):
        def loss(y_true, y_pred):
            tf.py_function(lambda: evaluated.append(name), [], [])
            return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)

        return loss

    blend = bl.Blend({"a": spy("a"), "b": spy("b")}, bl.gates.Scheduled(bl.schedules.switch_at(1)), bl.modes.Hard())
    compute = tf.function(lambda step: blend.compute(Y_TRUE, Y_PRED, step=step))
    first, second = compute(tf.constant(0)), compute(tf.constant(1))
    assert evaluated == ["a", "b"]
    assert np.isnan(first.losses).tolist() == [False, True]
    assert np.isnan(second.losses).tolist() == [True, False]


def test_lazy_and_eager_hard_agree():
    gate = bl.gates.Fixed([1.0, 3.0, 2.0])
    lazy, full = (bl.Blend(LOSSES, gate, bl.modes.Hard(lazy=lazy)) for lazy in (True, False))
    prediction = tf.constant(Y_PRED)
    results = []
    for blend in (lazy, full):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = blend(Y_TRUE, prediction)
        results.append((value, tape.gradient(value, prediction)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
