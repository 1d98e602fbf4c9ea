"""Weights of each example: sums of penalties by example are what their values, weighed one by one, add up to."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.executions import EXECUTIONS, SharedTraces

RANDOM = np.random.default_rng(0)
#: Of few operations each, as a hundred programs are made of them; all have second derivatives.
PENALTIES = {
    "mse": bl.losses.SquaredError(),
    "pseudo-huber": bl.losses.PseudoHuber(2.0),
    "quantile": bl.losses.Quantile(0.3),
    "huber": bl.losses.Huber(),
    "geman-mcclure": bl.losses.GemanMcClure(),
}
#: An example of one number, of none, of less than a piece, of whole ones, and of more with a remainder.
SHAPES = ((5,), (0, 3), (4, 0), (3, 1), (4, 31), (3, 96), (2, 64), (2, 3, 70), (2, 9, 9, 2), (2, 2500))
REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight")


class Given(bl.gates.Gate):
    logits = None

    def gating(self, context):
        return self.logits


def one_by_one(losses):
    """The same losses as plain callables, whose values by example are weighed and then reduced."""
    return {name: lambda y_true, y_pred, loss=loss: loss(y_true, y_pred) for name, loss in losses.items()}


def blended(losses, mode=None, reduction="sum_over_batch_size"):
    """Value, losses, weights, the first derivatives, and those of the squared length of dL/dp."""
    gate = Given()
    blend = bl.Blend(losses, gate, mode, reduction=reduction)

    def run(y_true, y_pred, logits, sample_weight=None):
        sources = [y_pred, logits] + ([] if sample_weight is None else [sample_weight])
        with tf.GradientTape() as outer:
            outer.watch(sources)
            with tf.GradientTape() as inner:
                inner.watch(sources)
                gate.logits = logits
                output = blend.compute(y_true, y_pred, sample_weight, step=0)
            first = inner.gradient(output.value, sources)
            length = tf.reduce_sum(first[0] ** 2)
        second = outer.gradient(length, sources, unconnected_gradients="zero")
        return output.value, output.losses, output.weights, first, second

    return run


def given(shape, losses=5, dtype="float64"):
    y_true, y_pred = (tf.constant(3 * RANDOM.standard_normal(shape), dtype) for _ in range(2))
    return y_true, y_pred, tf.constant(RANDOM.standard_normal((shape[0], losses)), dtype)


def assert_alike(found, expected, **tolerance):
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, **(tolerance or {"rtol": 1e-12, "atol": 1e-14}))


@functools.cache
def of_shape(shape, reduction, weighted):
    """Tensors, the sums by example of them, and what the values one by one make of them."""
    tensors = given(shape)
    if weighted:
        tensors += (tf.constant(RANDOM.uniform(0.5, 2.0, shape[:1]), "float64"),)
    expected = blended(one_by_one(PENALTIES), reduction=reduction)(*tensors)
    return tensors, SharedTraces(blended(PENALTIES, reduction=reduction)), expected


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("shape", "reduction"), [*zip(SHAPES, itertools.cycle(REDUCTIONS), strict=False)], ids=str)
def test_sums_by_example_agree_with_penalties_evaluated_one_by_one(shape, reduction, weighted, execution):
    tensors, sums, expected = of_shape(shape, reduction, weighted)
    assert_alike(sums.run(execution, *tensors), expected)


ELEVEN = {f"huber-{k}": bl.losses.Huber(0.1 * (k + 1)) for k in range(11)}


@functools.cache
def of_eleven():
    tensors = given((3, 100), 11)
    return tensors, SharedTraces(blended(ELEVEN)), blended(one_by_one(ELEVEN))(*tensors)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_more_losses_than_are_summed_at_once(execution):
    tensors, sums, expected = of_eleven()
    assert_alike(sums.run(execution, *tensors), expected)


@functools.cache
def with_a_mask():
    """As `of_shape`, with weights of each residual and a mask, and the value without the mask."""
    y_true, y_pred, logits = given((3, 40, 2))
    tensors = (y_true, y_pred, logits, tf.constant(RANDOM.uniform(0.5, 2.0, (3, 40))))
    kept = tf.constant(RANDOM.uniform(size=(3, 40)) < 0.7)

    def masked(run):
        def of(y_true, y_pred, logits, sample_weight):
            y_pred = tf.identity(y_pred)
            y_pred._keras_mask = kept
            return run(y_true, y_pred, logits, sample_weight)

        return of

    unmasked = float(blended(PENALTIES)(*tensors)[0])
    return tensors, SharedTraces(masked(blended(PENALTIES))), masked(blended(one_by_one(PENALTIES)))(*tensors), unmasked


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_weights_of_each_residual_and_a_mask(execution):
    tensors, sums, expected, unmasked = with_a_mask()
    found = sums.run(execution, *tensors)
    assert_alike(found, expected)
    assert unmasked != pytest.approx(float(found[0]), rel=1e-6)


MODES = {
    "hard": bl.modes.Hard(),
    "reinmax": bl.modes.Hard(bl.modes.ReinMax(2)),
    "annealed": bl.modes.Annealed(0.5, seed=1),
}


@functools.cache
def in_mode(mode):
    tensors = given((6, 70))
    expected = blended(one_by_one(PENALTIES), MODES[mode])(*tensors)
    return tensors, SharedTraces(blended(PENALTIES, MODES[mode])), expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_modes_agree_with_penalties_evaluated_one_by_one(mode, execution):
    tensors, sums, expected = in_mode(mode)
    assert_alike(sums.run(execution, *tensors), expected)


def test_unknown_shapes_agree_in_one_trace():
    specs = [tf.TensorSpec([None, None, 2], tf.float64)] * 2 + [tf.TensorSpec([None, 5], tf.float64)]
    run = tf.function(blended(PENALTIES), input_signature=specs, autograph=False)
    expected = blended(one_by_one(PENALTIES))
    for shape in ((0, 3, 2), (2, 0, 2), (1, 1, 2), (3, 47, 2), (2, 48, 2), (5, 700, 2)):
        tensors = given(shape)
        assert_alike(run(*tensors), expected(*tensors))
    assert run.experimental_get_tracing_count() == 1


OFF = SharedTraces(blended({"huber": bl.losses.Huber(), "barron": bl.losses.Barron(float("inf"))}))


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_loss_that_is_off_in_one_example_is_out_of_it_infinite_or_not(execution):
    """Barron's is infinite at 100; there it is off, and in the second example it counts."""
    y_pred = tf.constant([[100.0] + [1.0] * 70, [2.0] * 71])
    y_true, logits = tf.zeros_like(y_pred), tf.constant([[0.0, -np.inf], [0.0, 0.0]])
    value, means, _, (by_prediction, by_logit), _ = OFF.run(execution, y_true, y_pred, logits)
    alone = [[99.5] + [0.5] * 70, (0.5 * 1.5 + 0.5 * (np.exp(2.0) - 1)) * np.ones(71)]
    np.testing.assert_allclose(value, np.mean(alone), rtol=1e-6)
    assert np.isfinite(means[0])
    assert np.isinf(means[1])
    slopes = [np.ones(71), (0.5 + 0.5 * 2 * np.exp(2.0)) * np.ones(71)]
    np.testing.assert_allclose(by_prediction, np.array(slopes) / 142, rtol=1e-6)
    np.testing.assert_array_equal(by_logit[0], [0.0, 0.0])
    assert np.isfinite(by_logit).all()


@functools.cache
def of_many_float32():
    shape = (2**8, 2**16)
    residual = RANDOM.standard_normal(shape, np.float32)
    logits = RANDOM.standard_normal((shape[0], 2), np.float32)
    share = 1 / (1 + np.exp(np.float64(logits[:, 1:] - logits[:, :1])))
    of = np.float64(residual)
    expected = np.mean(share * of**2 + (1 - share) * np.abs(of))
    gate = Given()
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}, gate)

    def run(residual, logits):
        gate.logits = logits
        return blend(tf.zeros_like(residual), residual, step=0)

    return (tf.constant(residual), tf.constant(logits)), SharedTraces(run), expected


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_many_float32_are_added_accurately(execution):
    tensors, mean, expected = of_many_float32()
    assert abs(float(mean.run(execution, *tensors)) / expected - 1) <= 1e-6


@functools.cache
def derivatives_one_by_one(of_each):
    return taken_outside(one_by_one(PENALTIES), of_each)


@functools.cache
def given_outside():
    return given((3, 100))


def taken_outside(losses, of_each, compiled=None):
    """Derivatives of a blend of `losses`, in a graph of its own unless `compiled` is None."""
    y_true, y_pred, logits = given_outside()
    logits = logits if of_each else logits[0]
    sample_weight = tf.constant([1.0, 0.5, 2.0], tf.float64)
    gate = Given()
    blend = bl.Blend(losses, gate)

    def run(y_pred, logits):
        gate.logits = logits
        return blend(y_true, y_pred, sample_weight, step=0)

    if compiled is not None:
        run = tf.function(run, autograph=False, jit_compile=compiled)
    with tf.autodiff.ForwardAccumulator(y_pred, y_true) as accumulator:
        value = run(y_pred, logits)
    with tf.GradientTape() as outer:
        outer.watch([y_pred, logits])
        with tf.GradientTape() as inner:
            inner.watch([y_pred, logits])
            again = run(y_pred, logits)
        slopes, pulls = inner.gradient(again, [y_pred, logits])
        length = tf.reduce_sum(slopes**2) + tf.reduce_sum(pulls**2)
    return accumulator.jvp(value), outer.gradient(length, [y_pred, logits])


@pytest.mark.parametrize("of_each", [True, False], ids=["of each example", "of all"])
@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_of_a_graph_taken_outside_of_it(compiled, of_each):
    assert_alike(taken_outside(PENALTIES, of_each, compiled), derivatives_one_by_one(of_each))


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_weights_of_more_examples_than_there_are_raise(execution):
    """Also where no gradient is asked for, whose shape would not fit."""
    y_true, y_pred, _ = given((1, 5))
    gate = Given()
    blend = bl.Blend(PENALTIES, gate)

    def run(y_true, y_pred, logits):
        gate.logits = logits
        return blend(y_true, y_pred, step=0)

    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        EXECUTIONS[execution](run)(y_true, y_pred, tf.zeros([4, 5], tf.float64))


def test_a_scalar_has_no_examples():
    with pytest.raises(ValueError, match=r"predictions of shape \[batch, \.\.\.\]. Received: a scalar"):
        blended(PENALTIES)(tf.constant(1.0), tf.constant(2.0), tf.zeros([1, 5]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    y_true, y_pred, logits = given((3, 100), dtype="float32")
    y_true, y_pred = tf.cast(y_true, dtype), tf.cast(y_pred, dtype)
    exact = blended(PENALTIES)(*(tf.cast(tensor, tf.float64) for tensor in (y_true, y_pred, logits)))
    value = blended(PENALTIES)(y_true, y_pred, logits)[0]
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, exact[0], rtol=1e-6)
