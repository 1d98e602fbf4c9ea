"""The gradient of a blend by gates that look at the gradients of its losses."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import GradientGate, Needs
from tests.loss_gradients import MODES, PLACES, Layers

# Sums of at most 12 products in float32.
ROUNDING: dict[str, Any] = {"rtol": 16 * 2.0**-23, "atol": 0}


@keras.saving.register_keras_serializable(package="tests")
class Inverse(GradientGate):
    """g_k = 1 / |G_k|."""

    def weigh(self, gradients, context):
        return 1 / gradients.norms()


@keras.saving.register_keras_serializable(package="tests")
class Given(GradientGate):
    """Weights that the test gives, whatever the gradients."""

    def __init__(self, weights=(1.0,), **named):
        super().__init__(**named)
        self.weights_given = list(weights)

    def weigh(self, gradients, context):
        gradients.gram()
        return tf.constant(self.weights_given, tf.float64)

    def get_config(self):
        return {**super().get_config(), "weights": self.weights_given}


# With gates that do


def both(layers, gate, step=0, **named):
    blend = gate if isinstance(gate, bl.Blend) else bl.Blend(["a", "b"], gate)
    with tf.GradientTape(persistent=True) as tape:
        values = dict(zip("ab", layers.losses(), strict=True))
    return blend.gradients(tape, values, layers.variables + blend.trainable_variables, step=step, **named)


@pytest.mark.parametrize("task_specific", ["unweighted", "weighted"])
@pytest.mark.parametrize(("measured", "places"), PLACES, ids=lambda value: str(value))
def test_the_direction_of_a_gate_by_hand(measured, places, task_specific):
    layers = Layers()
    found = both(layers, Inverse(variables=measured, task_specific=task_specific))
    weights = 1 / np.linalg.norm(layers.rows(places), axis=1)
    np.testing.assert_allclose(found.output.weights, weights, **ROUNDING)
    losses = [float(loss) for loss in layers.losses()]
    np.testing.assert_allclose(found.output.losses, losses, **ROUNDING)
    np.testing.assert_allclose(found.output.value, np.dot(weights, losses), rtol=0, atol=1e-5)
    for place in range(5):
        own = task_specific == "unweighted" and place > 2
        pairs = zip(weights, [row[place] for row in layers.factors], strict=True)
        expected = sum((1.0 if own else w) * f for w, f in pairs if f is not None)
        np.testing.assert_allclose(found.gradients[place], expected, rtol=0, atol=8 * 2.0**-23)
    assert found.gradients[5] is None


def test_weights_of_any_sign_are_as_they_are():
    layers = Layers()
    found = both(layers, Given([-2.0, 0.0], task_specific="weighted"))
    np.testing.assert_allclose(found.output.weights, [-2.0, 0.0], **ROUNDING)
    np.testing.assert_allclose(found.gradients[0], -2 * layers.factors[0][0], **ROUNDING)
    assert not np.any(found.gradients[4])
    assert not np.any(both(layers, Given([0.0, 0.0], task_specific="weighted")).gradients[0])


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_is_off_is_out_of_value_and_gradient(value):
    w = tf.Variable([2.0, 1.0])
    blend = bl.Blend(["a", "b"], Given([1.0, 0.0]))
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": tf.reduce_sum(w**2), "b": tf.reduce_sum(w * value)}
    found = blend.gradients(tape, values, [w], step=0)
    assert float(found.output.value) == 5.0
    np.testing.assert_array_equal(found.gradients[0], [4.0, 2.0])


def test_one_loss():
    w = tf.Variable([3.0, 4.0])
    blend = bl.Blend(["a"], Inverse())
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": tf.reduce_sum(w**2) / 2}
    found = blend.gradients(tape, values, [w], step=0)
    np.testing.assert_allclose(found.output.weights, [0.2], **ROUNDING)
    np.testing.assert_allclose(found.gradients[0], [0.6, 0.8], **ROUNDING)


def test_float64_is_kept():
    layers = Layers("float64")
    found = both(layers, Inverse(dtype="float64", task_specific="weighted"))
    weights = 1 / np.linalg.norm(layers.rows([0, 1, 2]), axis=1)
    np.testing.assert_allclose(found.output.weights, weights, rtol=1e-14)
    expected = np.tensordot(weights, np.stack([row[0] for row in layers.factors]), 1)
    np.testing.assert_allclose(found.gradients[0], expected, rtol=0, atol=1e-14)
    assert found.output.value.dtype == tf.float64


@pytest.mark.parametrize("task_specific", ["unweighted", "weighted"])
def test_weights_are_kept_in_between(task_specific):
    """`every` = 3: computed at steps 0 and 3, of the gradients as they are then."""
    blend = bl.Blend(["a", "b"], Inverse(every=3, task_specific=task_specific))
    found, own = [], []
    for step in range(5):
        layers = Layers(sizes=(10.0**step, 1.0))
        result = both(layers, blend, step)
        found.append(np.array(result.output.weights))
        own.append(1 / np.linalg.norm(layers.rows([0, 1, 2]), axis=1))
        kept = own[0] if step < 3 else own[3]
        expected = kept[0] * layers.factors[0][1] + kept[1] * layers.factors[1][1]
        np.testing.assert_allclose(result.gradients[1], expected, rtol=0, atol=1e-5 * max(kept[0] * 10.0**step, 1))
        factor = kept[0] if task_specific == "weighted" else 1.0
        np.testing.assert_allclose(result.gradients[3], factor * layers.factors[0][3], rtol=1e-6)
    np.testing.assert_allclose(found, [own[0]] * 3 + [own[3]] * 2, **ROUNDING)


@pytest.mark.parametrize("every", [1, 2])
def test_a_step_of_no_finite_weights_is_counted_and_kept_out_of_the_state(every):
    blend = bl.Blend(["a", "b"], Inverse(every=every))
    expected = np.array(both(Layers(), blend, 0).output.weights)
    broken = Layers(sizes=(np.nan, 1.0))
    found = both(broken, blend, 2)
    assert np.isnan(found.output.value)
    np.testing.assert_allclose(blend.gate.last, expected, **ROUNDING)
    assert int(blend.gate.skipped) == 1
    assert np.isfinite(both(Layers(), blend, 4).output.value)


def test_overflow_by_the_scale_is_not_the_losses():
    """1 / inf is a finite weight, 0, which would keep the overflow out of the sum, and the scale as it is for ever."""
    blend = bl.Blend(["a", "b"], Inverse())
    expected = np.array(both(Layers(), blend, 0).output.weights)
    found = both(Layers(sizes=(1e30, 1.0)), blend, 1, scale=tf.constant(1e20))
    np.testing.assert_allclose(found.output.weights, expected, **ROUNDING)
    assert not np.isfinite(found.gradients[0]).all()  # which the optimizer sees, and skips
    assert int(blend.gate.skipped) == 1


@pytest.mark.parametrize("gate", [bl.gates.Learned, bl.gates.Uncertainty, lambda: Inverse(task_specific="weighted")])
def test_a_scale_is_a_factor_of_every_gradient(gate):
    layers = Layers()
    made = [bl.Blend(["a", "b"], gate()) for _ in range(2)]
    plain, scaled = both(layers, made[0]), both(layers, made[1], scale=tf.constant(256.0))
    np.testing.assert_array_equal(scaled.output.value, plain.output.value)
    for a, b in zip(plain.gradients, scaled.gradients, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            # A power of 2; but in one pass it is applied before the sum of two losses, not after.
            np.testing.assert_allclose(b, 256 * a, rtol=0, atol=256 * 2.0**-22)


def test_without_training_the_kept_weights_hold():
    blend = bl.Blend({"a": "mse", "b": "mae"}, Inverse())
    w = tf.Variable(3.0)
    first = blend.compute([[0.0]], [[2.0]], step=0, training=False)
    np.testing.assert_array_equal(first.weights, [1.0, 1.0])
    with tf.GradientTape(persistent=True) as tape:
        values = blend.values([[0.0]], tf.reshape(w, [1, 1]))
    found = blend.gradients(tape, values, [w], step=0)
    np.testing.assert_allclose(found.output.weights, [1 / 6, 1.0], **ROUNDING)
    after = blend.compute([[0.0]], [[2.0]], step=1, training=False)
    np.testing.assert_array_equal(after.weights, found.output.weights)
    np.testing.assert_array_equal(
        blend.compute_from_values({"a": 1.0, "b": 2.0}, step=1, training=False).weights, after.weights
    )


@pytest.mark.parametrize("mode", ["concrete", "reinmax"])
def test_every_mode_takes_the_weights_for_logits(mode):
    layers = Layers()
    blend = bl.Blend(["a", "b"], Given([1.0, 3.0], task_specific="weighted"), MODES[mode]())
    found = both(layers, blend)
    weights = np.array(found.output.weights)
    shares = np.array(MODES[mode]()(tf.math.log([1.0, 3.0]), tf.constant(0, tf.int64), True))
    np.testing.assert_allclose(weights, 4 * shares, **ROUNDING)
    expected = np.tensordot(weights, np.stack([row[0] for row in layers.factors]), 1)
    np.testing.assert_allclose(found.gradients[0], expected, rtol=0, atol=32 * 2.0**-23)


# Hooks


@keras.saving.register_keras_serializable(package="tests")
class Hooked(GradientGate):
    """A sign of the sum as its direction, and a gradient of its own for what trains in it."""

    needs = Needs.RESIDUAL_GRADIENTS

    def create_state(self, k):
        super().create_state(k)
        self.own = self.add_weight(name="own", shape=(k,), initializer="zeros")

    def weigh(self, gradients, context):
        return tf.stack([tf.reduce_sum(residual) for residual in gradients.residuals])

    def combined(self, weights, gradients, context):
        return [None if g is None else tf.sign(g) for g in gradients.combined(weights)]

    def own_gradients(self, context):
        return [context.gradients.norms()]


def test_hooks_of_a_gate():
    w = tf.Variable([[3.0], [-1.0]], name="w")
    blend = bl.Blend({"a": bl.losses.SquaredError(), "b": bl.losses.AbsoluteError()}, Hooked())
    y_true = tf.constant([[1.0], [0.5]])
    with tf.GradientTape(persistent=True) as tape:
        values, residuals = blend.values(y_true, w), blend.residuals(y_true, w)
    found = blend.gradients(tape, values, [w, *blend.trainable_variables], step=0, residuals=residuals, scale=4.0)
    np.testing.assert_allclose(found.output.weights, [0.5, 0.5], **ROUNDING)
    np.testing.assert_array_equal(found.gradients[0], [[1.0], [-1.0]])
    # Twice: r / N, sign(r) / N with N = 2; times the scale.
    np.testing.assert_allclose(found.gradients[1], 4 * np.array([np.hypot(2.0, -1.5), np.hypot(0.5, 0.5)]), **ROUNDING)


def test_residuals_are_of_each_output():
    outputs = {"u": tf.constant([[3.0], [4.0]]), "pde": tf.constant([2.0, 5.0, 7.0])}
    losses = {
        "data": bl.losses.OutputLoss("u", bl.losses.SquaredError()),
        "equation": bl.losses.OutputLoss("pde", bl.losses.SquaredError(), 0.0),
    }
    found = bl.Blend(losses, Inverse()).residuals({"u": [1.0, 1.0]}, outputs)
    np.testing.assert_array_equal(found["data"], [[2.0], [3.0]])
    np.testing.assert_array_equal(found["equation"], [2.0, 5.0, 7.0])
    with pytest.raises(TypeError, match="A residual is known of penalties alone.*Received: b='mse'"):
        bl.Blend({"a": bl.losses.SquaredError(), "b": "mse"}, Inverse()).residuals([[0.0]], [[1.0]])


# Mistakes


def test_a_tape_that_is_not_persistent():
    w = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        values = {"a": w**2, "b": w}
    with pytest.raises(ValueError, match="`tape` must be persistent"):
        bl.Blend(["a", "b"], Inverse()).gradients(tape, values, [w], step=0)


@pytest.mark.parametrize("gate", [bl.gates.Learned, Hooked])
def test_a_gate_that_would_never_train(gate):
    w = tf.Variable(1.0)
    blend = bl.Blend(["a", "b"], gate())
    with tf.GradientTape(persistent=True) as tape:
        values = {"a": w**2, "b": w * 1.0}
    with pytest.raises(ValueError, match="`variables` must have those of the gate"):
        blend.gradients(tape, values, [w], step=0)


def test_a_frozen_gate_needs_not_be_among_the_variables():
    w = tf.Variable(1.0)
    blend = bl.Blend(["a", "b"], bl.gates.Learned([1.0, 1.0]))
    blend.gate.trainable = False
    with tf.GradientTape() as tape:
        values = {"a": w**2, "b": w * 1.0}
    (gradient,) = blend.gradients(tape, values, [w], step=0).gradients
    np.testing.assert_allclose(gradient, 1.5, **ROUNDING)


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ({"a": 1.0}, {}, r"`values` must have exactly the names \['a', 'b'\]"),
        ({"a": 1.0, "b": [1.0, 2.0]}, {}, "`values` must be scalars.*Received: b"),
        ({"a": 1.0, "b": 2.0}, {"residuals": {"a": 1.0}}, "`residuals` must have exactly the names"),
        ({"a": 1.0, "b": 2.0}, {"step": None}, "needs the step"),
    ],
    ids=["names", "shape", "residuals", "step"],
)
def test_wrong_arguments(values, named, message):
    with tf.GradientTape(persistent=True) as tape:
        pass
    with pytest.raises(ValueError, match=message):
        bl.Blend(["a", "b"], Inverse()).gradients(tape, values, [], **{"step": 0, **named})


def test_a_blend_that_does_not_reduce():
    with tf.GradientTape(persistent=True) as tape:
        pass
    blend = bl.Blend(["a"], bl.gates.Fixed([1.0]), reduction="none")
    with pytest.raises(ValueError, match="does not reduce has no one gradient"):
        blend.gradients(tape, {"a": 1.0}, [])


def test_a_call_without_a_tape_is_refused():
    blend = bl.Blend({"a": "mse", "b": "mae"}, Inverse())
    with pytest.raises(ValueError, match=r"weighs losses by their gradients: use `BlendedModel`"):
        blend([[0.0]], [[1.0]], step=0)
    with pytest.raises(ValueError, match=r"weighs losses by their gradients: use\s+`blend.gradients"):
        blend.combine({"a": 1.0, "b": 1.0}, step=0)
    with pytest.raises(ValueError, match="keeps a running state"):
        blend.as_keras_loss(tf.Variable(0))


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"variables": "first"}, ValueError, "`variables` must be one of"),
        ({"variables": []}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"variables": [3]}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"variables": [""]}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"variables": None}, TypeError, "`variables` must be 'shared', 'last' or a list"),
        ({"task_specific": "both"}, ValueError, "`task_specific` must be one of"),
        ({"every": 0}, ValueError, "`every` must"),
        ({"every": 1.5}, TypeError, "`every` must"),
    ],
    ids=str,
)
def test_wrong_arguments_of_a_gate(named, error, message):
    with pytest.raises(error, match=message):
        Inverse(**named)


@pytest.mark.parametrize(
    "named", [{}, {"variables": "last", "task_specific": "weighted"}, {"variables": ["a/*"], "every": 7}]
)
def test_configuration_round_trip(named):
    gate = Inverse(**named)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(gate))
    assert again.get_config() == gate.get_config()
    assert (again.measured, again.task_specific, again.every) == (gate.measured, gate.task_specific, gate.every)


# Regimes


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("task_specific", ["unweighted", "weighted"])
def test_one_trace_gives_what_eager_gives(task_specific, every, jit_compile):
    layers, traces = Layers(), []
    eager, traced = (bl.Blend(["a", "b"], Inverse(task_specific=task_specific, every=every)) for _ in range(2))

    @tf.function(jit_compile=jit_compile)
    def run(step):
        traces.append(1)
        found = both(layers, traced, step)
        return found.output, found.gradients[:5]

    for step in range(3):
        output, gradients = run(tf.constant(step, tf.int64))
        expected = both(layers, eager, step)
        np.testing.assert_allclose(output.weights, expected.output.weights, **ROUNDING)
        for a, b in zip(gradients, expected.gradients, strict=False):
            np.testing.assert_allclose(a, b, rtol=0, atol=32 * 2.0**-23)
        layers.variables[0].assign_add(tf.ones([3, 4]))
    assert len(traces) == 1
