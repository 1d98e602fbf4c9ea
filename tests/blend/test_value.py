"""What a blend computes, and what it protects."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.blend.instances import LOSSES, MODES, WEIGHTS, Y_PRED, Y_TRUE, PerExample, fixed


def by_keras(reduction="sum_over_batch_size"):
    losses = [keras.losses.MeanSquaredError, keras.losses.Huber, keras.losses.MeanAbsoluteError]
    return [loss(reduction=reduction) for loss in losses]


@keras.saving.register_keras_serializable(package="tests")
class Inverse(bl.gates.Gate):
    """Weights in proportion to 1 / loss: a gate that needs the losses' values."""

    needs = Needs.VALUES

    def gating(self, context):
        return -tf.math.log(context.values)


# Value, against Keras


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_value_is_the_weighted_sum_of_keras_losses(reduction, weighted):
    sample_weight = np.arange(6, dtype="float32") if weighted else None
    expected = sum(
        weight * loss(Y_TRUE, Y_PRED, sample_weight) for weight, loss in zip(WEIGHTS, by_keras(reduction), strict=True)
    )
    np.testing.assert_allclose(fixed(reduction=reduction)(Y_TRUE, Y_PRED, sample_weight), expected, rtol=1e-6)


def test_mask_on_the_predictions_counts_as_in_keras():
    prediction = tf.constant(Y_PRED)
    prediction._keras_mask = tf.constant([True, True, False, True, False, True])
    expected = sum(weight * loss(Y_TRUE, prediction) for weight, loss in zip(WEIGHTS, by_keras(), strict=True))
    np.testing.assert_allclose(fixed()(Y_TRUE, prediction), expected, rtol=1e-6)


def test_weights_need_not_sum_to_one():
    blend = bl.Blend(LOSSES, bl.gates.Fixed([1.0, 10.0, 100.0]))
    expected = sum(weight * loss(Y_TRUE, Y_PRED) for weight, loss in zip([1, 10, 100], by_keras(), strict=True))
    np.testing.assert_allclose(blend(Y_TRUE, Y_PRED), expected, rtol=1e-6)


def test_a_loss_by_object_name_or_function_has_the_same_value():
    blend = bl.Blend(
        {
            "object": keras.losses.SparseCategoricalCrossentropy(),
            "name": "sparse_categorical_crossentropy",
            "function": lambda y, p: -tf.math.log(tf.gather(p, tf.cast(y, tf.int32), batch_dims=1)),
        },
        bl.gates.Fixed([1.0, 1.0, 1.0]),
    )
    labels, probabilities = np.array([0, 2]), np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], "float32")
    output = blend.compute(labels, probabilities)
    np.testing.assert_allclose(output.losses, np.full(3, -np.log([0.5, 0.8]).mean()), rtol=1e-5)


def test_rank_one_is_a_batch_of_scalars():
    blend, sample_weight = fixed(reduction="none"), np.arange(6, dtype="float32")
    column = blend(Y_TRUE[:, :1], Y_PRED[:, :1], sample_weight)
    np.testing.assert_allclose(blend(Y_TRUE[:, 0], Y_PRED[:, 0], sample_weight), column, rtol=1e-6)
    np.testing.assert_allclose(blend(Y_TRUE[:, 0], Y_PRED[:, :1], sample_weight), column, rtol=1e-6)


def test_a_blend_of_one_loss_equals_the_loss():
    blend = bl.Blend({"mse": "mse"}, bl.gates.Learned())
    np.testing.assert_allclose(blend(Y_TRUE, Y_PRED, step=0), by_keras()[0](Y_TRUE, Y_PRED), rtol=1e-6)


def test_empty_batch_is_zero():
    assert float(fixed()(tf.zeros([0, 2]), tf.zeros([0, 2]))) == 0.0


def test_the_output_has_every_loss_and_weight():
    output = fixed().compute(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(output.losses, [loss(Y_TRUE, Y_PRED) for loss in by_keras()], rtol=1e-6)
    np.testing.assert_allclose(output.weights, WEIGHTS, rtol=1e-6)


def test_gate_that_needs_values_gets_the_reduced_losses():
    output = bl.Blend(LOSSES, Inverse()).compute(Y_TRUE, Y_PRED)
    inverse = 1 / np.array(output.losses)
    np.testing.assert_allclose(output.weights, inverse / inverse.sum(), rtol=1e-5)
    np.testing.assert_allclose(output.value, 3 / inverse.sum(), rtol=1e-5)


def test_functions_get_targets_of_the_predictions_rank():
    """As in Keras's `compile(loss=function)`; subtracting [batch] from [batch, 1] would give [batch, batch]."""

    def own(y_true, y_pred):
        return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)

    blend = bl.Blend({"own": own, "ours": bl.losses.SquaredError()}, bl.gates.Fixed([1, 1]))
    output = blend.compute(Y_TRUE[:, 0], Y_PRED[:, :1])
    np.testing.assert_allclose(output.losses, np.full(2, np.mean((Y_TRUE[:, 0] - Y_PRED[:, 0]) ** 2)), rtol=1e-6)


def test_rank_one_is_a_batch_of_scalars_for_keras_losses_too():
    weight = np.array([1, 0, 0, 0, 0, 0], "float32")
    losses = {"ours": bl.losses.SquaredError(), "name": "mse", "object": keras.losses.MeanSquaredError()}
    output = bl.Blend(losses, bl.gates.Fixed([1, 1, 1])).compute(Y_TRUE[:, 0], Y_PRED[:, 0], weight)
    np.testing.assert_allclose(output.losses, np.full(3, (Y_TRUE[0, 0] - Y_PRED[0, 0]) ** 2 / 6), rtol=1e-6)


@pytest.mark.parametrize("kind", ["sample_weight", "mask"])
def test_factors_with_more_axes_than_the_values_are_refused(kind):
    prediction, factor = tf.constant(Y_PRED[:2]), np.ones((2, 2), "float32")
    if kind == "mask":
        prediction._keras_mask = tf.constant(factor > 0)
    with pytest.raises(ValueError, match="must not have more axes than the values of the losses"):
        fixed()(Y_TRUE[:2], prediction, factor if kind == "sample_weight" else None)


# One gating vector for each example


def test_per_example_weights_blend_each_example_by_its_own():
    logits = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], size=6)).astype("float32")
    blend = bl.Blend(LOSSES, PerExample(logits.tolist()))
    values = np.stack([loss(Y_TRUE, Y_PRED) for loss in by_keras("none")], axis=-1)
    expected = (np.exp(logits) * values).sum(axis=-1)
    output = blend.compute(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(output.value, expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(output.weights, np.exp(logits).mean(axis=0), rtol=1e-5)
    weighted = blend(Y_TRUE, Y_PRED, np.arange(6, dtype="float32"))
    np.testing.assert_allclose(weighted, (expected * np.arange(6)).mean(), rtol=1e-5)


def test_per_example_weight_zero_protects_its_example():
    logits = np.where(np.eye(2, dtype=bool), 0.0, -np.inf).tolist()
    blend = bl.Blend({"mse": "mse", "bad": lambda y, p: tf.math.log(p - p)[:, 0]}, PerExample(logits))
    prediction = tf.Variable([[1.0], [2.0]])
    with tf.GradientTape() as tape:
        values = bl.Blend({"mse": "mse", "bad": blend.functions["bad"]}, PerExample([[0.0, -np.inf]] * 2))(
            [[0.0], [0.0]], prediction
        )
    assert float(values) == 2.5
    np.testing.assert_array_equal(tape.gradient(values, prediction), [[1.0], [2.0]])
    assert not np.isfinite(blend([[0.0], [0.0]], prediction))


@pytest.mark.parametrize("compiled", [None, False, True], ids=["eager", "graph", "xla"])
def test_per_example_weight_zero_protects_penalties(compiled):
    logits = [[0.0, -np.inf], [-np.inf, 0.0]]
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "welsch": bl.losses.Welsch()}, PerExample(logits))

    def value_and_gradient(prediction):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = blend(tf.zeros_like(prediction), prediction)
        return value, tape.gradient(value, prediction)

    run = value_and_gradient if compiled is None else tf.function(value_and_gradient, jit_compile=compiled)
    value, gradient = run(tf.constant([[2.0], [np.inf]]))
    assert float(value) == (2.0**2 + 0.5) / 2
    np.testing.assert_array_equal(gradient, [[2.0], [0.0]])


def test_per_example_gradients_have_the_shape_of_the_targets():
    blend = bl.Blend(
        {"nll": "sparse_categorical_crossentropy", "mean": lambda y, p: y - p[:, 0]}, PerExample([[0.0, 0.0]] * 3)
    )
    labels, probabilities = tf.constant([0.0, 1.0, 1.0]), tf.constant([[0.5, 0.5]] * 3)
    with tf.GradientTape() as tape:
        tape.watch(labels)
        value = blend(labels, probabilities)
    np.testing.assert_allclose(tape.gradient(value, labels), np.full(3, 0.5 / 3), rtol=1e-6)


# Values from elsewhere


def test_combine_blends_given_values():
    blend = bl.Blend(["pde", "boundary"], bl.gates.Fixed([1.0, 10.0]))
    assert float(blend.combine({"boundary": 2.0, "pde": tf.constant([1.0, 3.0])})) == 22.0


def test_combine_sends_gradients_to_the_values():
    blend = bl.Blend(["pde", "boundary"], bl.gates.Fixed([1.0, 10.0]))
    pde, boundary = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        value = blend.combine({"pde": pde**2, "boundary": boundary**2})
    assert [round(float(g), 4) for g in tape.gradient(value, [pde, boundary])] == [6.0, 40.0]


@pytest.mark.parametrize("names", [["single", "double"], ["double", "single"]])
def test_combine_keeps_the_widest_dtype(names):
    blend = bl.Blend(names, bl.gates.Fixed([1.0, 1.0]))
    value = blend.combine({"single": tf.constant(1.0), "double": tf.constant(1e-12, tf.float64)})
    assert value.dtype == tf.float64
    assert float(value) > 1


def test_combine_and_call_each_refuse_the_others_blend():
    with pytest.raises(ValueError, match=r"`values` must have exactly the names \['pde'\]. Received: \['bc'\]"):
        bl.Blend(["pde"], bl.gates.Learned()).combine({"bc": 1.0}, step=0)
    with pytest.raises(ValueError, match="give their values to `combine`"):
        bl.Blend(["pde"], bl.gates.Learned())(Y_TRUE, Y_PRED, step=0)
    gate = bl.gates.ResidualState(bl.gates.statistics.Kurtosis(), [4.0], width=1.0)
    with pytest.raises(ValueError, match="needs residuals, which losses that are names alone have not"):
        bl.Blend(["a", "b"], gate)
    with pytest.raises(ValueError, match="needs residuals, which `combine` has not"):
        bl.Blend({"a": "mse", "b": "mae"}, gate).combine({"a": 1.0, "b": 2.0}, step=0)


# Weight 0


@keras.saving.register_keras_serializable(package="tests")
def infinite(y_true, y_pred):
    return tf.reduce_mean(tf.exp(1e4 * (1 + tf.abs(y_pred))), axis=-1)


@keras.saving.register_keras_serializable(package="tests")
def not_a_number(y_true, y_pred):
    return tf.reduce_mean(tf.math.log(-1 - tf.abs(y_pred)), axis=-1)


@keras.saving.register_keras_serializable(package="tests")
def infinite_slope(y_true, y_pred):
    return tf.reduce_mean(tf.exp(-1 / (y_pred - y_pred)), axis=-1)


@pytest.mark.parametrize("broken", [infinite, not_a_number, infinite_slope], ids=lambda f: f.__name__)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gate", [lambda: bl.gates.Scheduled(0.0), lambda: bl.gates.Learned([200.0, -200.0])])
def test_gated_off_loss_reaches_neither_value_nor_gradient(broken, mode, gate):
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "broken": broken}, gate(), MODES[mode])
    prediction = tf.Variable(Y_PRED)
    with tf.GradientTape() as tape:
        value = blend(Y_TRUE, prediction, step=3)
    gradients = tape.gradient(value, [prediction, *blend.trainable_variables])
    np.testing.assert_allclose(value, np.mean((Y_PRED - Y_TRUE) ** 2), rtol=1e-6)
    np.testing.assert_allclose(gradients[0], (Y_PRED - Y_TRUE) / 6, rtol=1e-5)
    for gradient in gradients[1:]:
        assert np.isfinite(gradient).all()
