"""The fused mean of a penalty: the same numbers as evaluating, weighing and reducing by themselves."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._blend.batch import build_batch
from blendloss._blend.fused import chosen_penalty_mean, penalty_means
from blendloss._internal.reductions import reduce, weights_of_elements
from tests.executions import EXECUTIONS, SharedTraces

RANDOM = np.random.default_rng(0)
REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight")
#: Less than a row, nothing, whole rows, and rows with a remainder.
SHAPES = ((5,), (3, 2), (3, 0), (128,), (4099, 1), (2731, 3))


def given(shape: tuple[int, ...], weighted: bool, dtype: str = "float64") -> tuple[tf.Tensor, ...]:
    y_true, y_pred = (tf.constant(3 * RANDOM.standard_normal(shape), dtype) for _ in range(2))
    weights = tf.constant(RANDOM.uniform(0.5, 2.0, shape[:1]), dtype)
    return (y_true, y_pred, weights) if weighted else (y_true, y_pred)


def fused(penalty, reduction: str, y_true, y_pred, weights=None):
    return penalty_means([penalty], [y_pred - y_true], build_batch(y_true, y_pred, weights), reduction)[0]


def by_itself(penalty, reduction: str, y_true, y_pred, weights=None):
    values = penalty(y_true, y_pred)
    return reduce(values, weights_of_elements(values, weights, None, reduction), reduction)


def derivatives(mean, penalty, reduction: str, *tensors):
    """Value, first derivatives, and those of the squared length of the derivative in the predictions."""
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as inner:
            inner.watch(tensors)
            value = mean(penalty, reduction, *tensors)
        first = inner.gradient(value, tensors)
        length = tf.reduce_sum(first[1] ** 2)
    return value, first, outer.gradient(length, tensors)


def assert_alike(found, expected):
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


PENALTIES = (bl.losses.GemanMcClure(), bl.losses.PseudoHuber(2.0), bl.losses.Huber())


@functools.cache
def of_shape(shape, weighted):
    """Tensors, fused means of them, each penalty with a reduction of its own, and what they are by themselves."""

    def means(mean, *tensors):
        pairs = zip(PENALTIES, REDUCTIONS, strict=True)
        return [derivatives(mean, penalty, reduction, *tensors) for penalty, reduction in pairs]

    tensors = given(shape, weighted)
    return tensors, SharedTraces(functools.partial(means, fused)), means(by_itself, *tensors)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_fused_means_equal_separate_means(shape, weighted, execution):
    tensors, means, expected = of_shape(shape, weighted)
    assert_alike(means.run(execution, *tensors), expected)


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("terms", ["residual", "predictions and targets"])
def test_chosen_penalty_mean_equals_that_penaltys_mean(terms, weighted, execution):
    penalties = [bl.losses.PseudoHuber(2.0), bl.losses.SquaredError()]
    tensors = given((1366, 3), weighted)

    def chosen_one(index, reduction, y_true, y_pred, weights=None):
        of = [y_pred - y_true] if terms == "residual" else [y_pred, y_true]
        return chosen_penalty_mean(penalties, index, of, build_batch(y_true, y_pred, weights), reduction)

    run = EXECUTIONS[execution](lambda index, *t: derivatives(chosen_one, index, "sum_over_batch_size", *t))
    for index, penalty in enumerate(penalties):
        expected = derivatives(by_itself, penalty, "sum_over_batch_size", *tensors)
        found = run(tf.constant(index), *tensors)
        for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_unknown_batch_size():
    penalty = bl.losses.PseudoHuber()

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float64)] * 2)
    def run(y_true, y_pred):
        return fused(penalty, "mean", y_true, y_pred)

    for size in (0, 1, 7, 5003):
        tensors = given((size, 2), weighted=False)
        np.testing.assert_allclose(run(*tensors), by_itself(penalty, "mean", *tensors), rtol=1e-12)


@functools.cache
def many_float32():
    size = 2**24
    residual, zeros = RANDOM.standard_normal(size, np.float32), tf.zeros(size)
    mean = SharedTraces(lambda r: fused(bl.losses.AbsoluteError(), "mean", zeros, r))
    return tf.constant(residual), mean, np.mean(np.abs(residual), dtype=np.float64)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_mean_of_many_float32_is_accurate(execution):
    residual, mean, expected = many_float32()
    assert abs(float(mean.run(execution, residual)) / expected - 1) <= 1e-6


def test_the_device_decides_how_sums_are_formed():
    """Over parts of 32 on a processor, rows of 1024 on a GPU."""

    def rows(kind):
        def run(residual):
            with tf.device(f"/{kind}:0"):
                return fused(bl.losses.Huber(), "mean", tf.zeros_like(residual), residual)

        graph = tf.function(run, autograph=False).get_concrete_function(tf.zeros([4096])).graph
        reductions = [operation for operation in graph.get_operations() if operation.type == "Sum"]
        return {operation.inputs[0].shape[-1] for operation in reductions}

    assert 32 in rows("cpu") - rows("gpu")
    assert 1024 in rows("gpu") - rows("cpu")


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_an_infinite_residual_and_none(execution):
    run = EXECUTIONS[execution](lambda r: fused(bl.losses.Welsch(), "mean", tf.zeros_like(r), r))
    values = np.zeros(2**13, np.float32)
    assert float(run(tf.constant(values))) == 0.0
    values[5000] = np.inf
    np.testing.assert_allclose(run(tf.constant(values)), 0.5 / 2**13, rtol=1e-6)
    values[5001] = np.nan
    assert np.isnan(run(tf.constant(values)))


class Root(bl.losses.Penalty):
    """The root of |r|, whose slope at 0 is infinite."""

    def _value_and_slope(self, residual):
        root = tf.sqrt(tf.abs(residual))
        return root, tf.sign(residual) / (2 * root) + tf.where(residual == 0, np.inf, 0.0)

    def get_config(self):
        return {}


OFF = {
    "root": Root(),
    "barron": bl.losses.Barron(float("inf")),  # infinite at 100
    "callable": lambda t, p: tf.reduce_sum(1 / (0 * (p - t)), -1),
}
WEIGHTED = tf.constant([[0.0], [1.0], [100.0]]), tf.constant([1.0, 2.0, 3.0])


def derivatives_by_sample_weights(losses, reduction, predictions, weights):
    blend = bl.Blend(losses, bl.gates.Fixed([1.0, 0.0][: len(losses)]), reduction=reduction)
    with tf.GradientTape() as outer:
        outer.watch(predictions)
        with tf.GradientTape() as inner:
            inner.watch([predictions, weights])
            loss = blend(tf.zeros([3, 1]), predictions, weights, step=0)
        first = inner.gradient(loss, [predictions, weights])
        total = tf.reduce_sum(first[1])
    return loss, *first, outer.gradient(total, predictions)


@functools.cache
def huber_alone(reduction):
    return derivatives_by_sample_weights({"huber": bl.losses.Huber()}, reduction, *WEIGHTED)


@functools.cache
def huber_and(off, reduction):
    losses = {"huber": bl.losses.Huber(), "off": OFF[off]}
    return SharedTraces(functools.partial(derivatives_by_sample_weights, losses, reduction))


@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
@pytest.mark.parametrize("off", OFF)
def test_a_loss_that_is_off_reaches_no_derivative_by_sample_weights_either(off, execution, reduction):
    found = huber_and(off, reduction).run(execution, *WEIGHTED)
    for ours, expected in zip(found, huber_alone(reduction), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_autograph_converts_a_plain_function_without_a_word(caplog):
    blend = bl.Blend({"a": bl.losses.Huber(), "b": bl.losses.Cauchy()}, bl.gates.Fixed([1.0, 1.0]))

    @tf.function
    def step(y_true, y_pred):
        return blend(y_true, y_pred, step=0)

    step(tf.zeros([4, 2]), tf.ones([4, 2]))
    assert not [record for record in caplog.records if "AutoGraph" in record.getMessage()]
