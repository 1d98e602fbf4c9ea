"""The elementwise gate: what it joins, what it leaves out, and how elementwise weights go through a blend."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import blendloss as bl
from blendloss import losses, modes
from blendloss.gates import ByResidual
from blendloss.gates._by_residual import partial_credit

RNG = np.random.default_rng(0)
DELTA = 0.75
SHAPES = [(7,), (7, 1), (7, 3), (4, 5, 2)]
REDUCTIONS = ["mean", "sum", "none", "mean_with_sample_weight"]
MODES = {
    "soft": modes.Soft(),
    "sparsemax": modes.Soft(modes.sparsemax),
    "annealed": modes.Annealed(0.5, modes.entmax15, seed=1),
    "hard": modes.Hard(),
    "gumbel": modes.Hard(modes.GumbelStraightThrough(1)),
    "reinmax": modes.Hard(modes.ReinMax(1)),
}
#: Asymmetric, unbounded, bounded: pieces that meet at neither sign by themselves.
PIECES = {
    "squared": losses.SquaredError(),
    "quantile": losses.Quantile(0.3),
    "cauchy": losses.Cauchy(0.5),
    "welsch": losses.Welsch(),
}
THRESHOLDS = [0.5, 1.0, 2.5]


def joined(delta=DELTA, mode=None, gate=None, **options):
    """Half the square up to delta, delta times the size beyond: Huber's loss, from its two pieces."""
    pieces = {"near": losses.SquaredError(scale=2**0.5), "far": losses.AbsoluteError(scale=1 / delta)}
    return bl.Blend(pieces, ByResidual([delta]) if gate is None else gate, mode, **options)


def huber(delta=DELTA, **options):
    return bl.Blend({"huber": losses.Huber(delta)}, bl.gates.Fixed([1.0]), **options)


def pieces(mode=None, **arguments):
    return bl.Blend(PIECES, ByResidual(THRESHOLDS, **arguments), mode)


def compute(blend, y, prediction, weight=None):
    """The output, and the gradient of its value in the predictions."""
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        output = blend.compute(y, prediction, weight, step=0)
        total = tf.reduce_sum(output.value)
    return output, tape.gradient(total, prediction)


def one(blend, residual):
    """The value and slope of the blended penalty at each of `residual`, float64."""
    residual = np.atleast_1d(np.float64(residual))
    options = {**blend.get_config(), "reduction": "none"}
    output, slope = compute(bl.Blend.from_config(options), np.zeros_like(residual), tf.constant(residual))
    return output.value.numpy(), slope.numpy()


# Huber's loss from its pieces


SWITCHES = {"soft-sharp": (None, None), "hard-sharp": (modes.Hard(), None), "hard-wide": (modes.Hard(), 0.5)}


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize(
    ("reduction", "dtype"), [*((reduction, "float64") for reduction in REDUCTIONS), ("mean", "float32")]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_two_pieces_are_huber(shape, reduction, dtype, switch):
    mode, width = SWITCHES[switch]
    y = RNG.normal(size=shape).astype(dtype)
    prediction = tf.constant(y + 2 * RNG.normal(size=shape).astype(dtype))
    per_example, per_value = (RNG.uniform(0, 2, size=s) for s in (shape[:1], shape[: max(1, len(shape) - 1)]))
    blend = joined(mode=mode, gate=ByResidual([DELTA], width=width), reduction=reduction)
    for weight in (None, per_example, per_value, np.eye(shape[0])[0]):
        ours, slope = compute(blend, y, prediction, weight)
        theirs, expected = compute(huber(reduction=reduction), y, prediction, weight)
        assert ours.value.shape == theirs.value.shape
        # delta |r| and the shift, at most as large, are summed apart: some roundings of the sum of both.
        eps = np.finfo(dtype).eps
        scale = np.abs(ours.value).max() + 2 * abs(float(ours.cost)) + 1
        np.testing.assert_allclose(ours.value, theirs.value, rtol=0, atol=8 * eps * scale)
        np.testing.assert_allclose(slope, expected, rtol=4 * eps, atol=0)


@pytest.mark.parametrize("rank", [2, 3])
def test_two_pieces_are_huber_under_a_mask(rank):
    shape = (6, 2) if rank == 2 else (6, 3, 2)
    y = RNG.normal(size=shape)
    results: list[Any] = []
    for blend in (joined(), huber()):
        prediction = tf.Variable(y + np.linspace(-3, 3, y.size).reshape(shape))
        with tf.GradientTape() as tape:
            masked = tf.identity(prediction)
            masked._keras_mask = tf.constant(RNG.permutation(y[..., 0].size).reshape(shape[:-1]) % 2 == 0)
            if results:
                masked._keras_mask = results[0][2]
            value = blend(y, masked)
        results.append((value, tape.gradient(value, prediction), masked._keras_mask))
    (value, slope, _), (expected, expected_slope, _) = results
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-14)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_two_pieces_are_huber_in_every_regime(shape, jit_compile):
    signature = [tf.TensorSpec([None, *shape[1:]], tf.float64)] * 2

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def both(y, prediction):
        return [
            (output.value, slope) for output, slope in (compute(blend, y, prediction) for blend in (joined(), huber()))
        ]

    for batch in (1, 5):
        y = RNG.normal(size=(batch, *shape[1:]))
        (value, slope), (expected, expected_slope) = both(y, y + 2 * RNG.normal(size=y.shape))
        np.testing.assert_allclose(value, expected, rtol=1e-14)
        np.testing.assert_allclose(slope, expected_slope, rtol=1e-14)
    assert both.experimental_get_tracing_count() == 1


@settings(max_examples=20, deadline=None)
@given(delta=st.floats(1e-3, 1e3), exponent=st.floats(-100, 4))  # squares of less than 1e-154 vanish
def test_any_threshold_is_hubers(delta, exponent):
    residual = np.array([1.0, -1.0, 0.0]) * delta * 10**exponent
    value, slope = one(joined(delta), residual)
    expected, expected_slope = losses.Huber(delta).value_and_slope(tf.constant(residual))
    # delta |r| + (delta^2 / 2 - delta^2): terms up to 2 rho, so a few roundings; those of 2**0.5 and 1 / delta too.
    np.testing.assert_allclose(value, expected, rtol=3e-15, atol=0)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-15, atol=0)


def test_half_precision_predictions_are_computed_in_single():
    y, prediction = tf.zeros([3, 2], tf.float16), tf.constant(RNG.normal(size=(3, 2)) * 3, tf.float16)
    ours, slope = compute(joined(), y, prediction)
    theirs, expected = compute(huber(), y, prediction)
    assert ours.value.dtype == tf.float32
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-6)
    np.testing.assert_array_equal(slope, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_gates_dtype_does_not_move_a_threshold(dtype):
    gate = ByResidual([0.1], dtype=dtype)  # 0.1 has other digits in each
    at = np.float64(0.1)
    shares = joined(0.1, gate=gate).compute([[0.0]], tf.constant([[at]], tf.float64)).weights
    above = joined(0.1, gate=gate).compute([[0.0]], tf.constant([[np.nextafter(at, 1)]], tf.float64)).weights
    np.testing.assert_array_equal(shares, [1, 0])
    np.testing.assert_array_equal(above, [0, 1])


# Logits


@pytest.mark.parametrize("width", [0.25, 3.0])
def test_logits_are_the_sums_of_what_was_passed(width):
    size = np.concatenate([np.linspace(0, 4, 33), [0.5, 1.0, 2.5]])
    logits = partial_credit(tf.constant(size), tf.constant(THRESHOLDS, tf.float64), width).numpy()
    expected = np.pad(np.cumsum((size[:, None] - THRESHOLDS) / width, axis=-1), [(0, 0), (1, 0)])
    np.testing.assert_allclose(logits, expected - expected.max(axis=-1, keepdims=True), rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(logits.max(axis=-1), 0)


def test_no_width_is_the_limit_of_small_widths():
    size = tf.constant([0.0, 0.5, 0.75, 1.0, 2.5, 3.0], tf.float64)
    thresholds = tf.constant(THRESHOLDS, tf.float64)
    sharp, narrow = (modes.Hard()(partial_credit(size, thresholds, width)) for width in (None, 1e-6))
    np.testing.assert_array_equal(sharp, np.eye(4)[[0, 0, 1, 1, 2, 3]])
    np.testing.assert_array_equal(narrow, sharp)
    soft = modes.Soft()(partial_credit(size, thresholds, None))
    np.testing.assert_array_equal(soft, sharp)


def test_ties_go_to_the_first_and_the_next_number_does_not():
    at = np.float32([0.5, 1.0, 2.5])
    size = tf.constant(np.stack([np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(9))]))
    for width in (None, 0.125, 7.0):
        chosen = tf.argmax(partial_credit(size, tf.constant(at), width), axis=-1)
        np.testing.assert_array_equal(chosen, [[0, 1, 2], [0, 1, 2], [1, 2, 3]])


@pytest.mark.parametrize("width", [None, 1e-30, 1.0, 1e30])
def test_infinite_residuals_choose_the_last_and_nan_stays(width):
    logits = partial_credit(tf.constant([np.inf, np.nan, 0.0]), tf.constant(np.float32(THRESHOLDS)), width)
    for mode in (modes.Soft(), modes.Hard(), modes.Annealed(1e6)):
        weights = mode(logits).numpy()
        np.testing.assert_array_equal(weights[0], [0, 0, 0, 1])
        assert np.isnan(weights[1]).all()


# Joining


@pytest.mark.parametrize("mode", [None, modes.Hard()], ids=["soft", "hard"])
def test_the_joined_penalty_is_continuous(mode):
    at = np.array([sign * t for t in THRESHOLDS for sign in (1, -1)])
    (low, _), (high, _) = (one(pieces(mode), side(at)) for side in (lambda x: x, lambda x: np.nextafter(x, x * 2)))
    np.testing.assert_allclose(low, high, rtol=0, atol=2e-15)  # the slopes are below 3, the values below 2
    (low, _), (high, _) = (
        one(pieces(mode, continuous=False), side(at)) for side in (lambda x: x, lambda x: np.nextafter(x, x * 2))
    )
    assert (np.abs(low - high) > 0.01).all()


def test_the_joined_penalty_is_the_integral_of_its_slope():
    """By composite Gauss-Legendre quadrature of the slopes, piece by piece, from 0."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for sign in (1.0, -1.0):
        ends, total = [0.0, *THRESHOLDS, 4.0], 0.0
        for penalty, a, b in zip(PIECES.values(), ends[:-1], ends[1:], strict=True):
            for low, high in ((a, (a + b) / 2), ((a + b) / 2, b)):
                r = sign * ((high - low) / 2 * nodes + (high + low) / 2)
                total += sign * (high - low) / 2 * np.sum(weights * penalty.slope(tf.constant(r)).numpy())
            value, _ = one(pieces(), sign * b)
            np.testing.assert_allclose(value, total, rtol=1e-12)


def test_gradients_are_the_derivatives_of_the_joined_penalty():
    at = np.array([s * r for r in (0.01, 0.3, 0.7, 1.7, 3.0, 40.0) for s in (1, -1)])
    h = 1e-6
    for mode in (None, modes.Hard()):
        blend = pieces(mode)
        value, slope = one(blend, at)
        expected = (one(blend, at + h)[0] - one(blend, at - h)[0]) / (2 * h)
        np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-8)  # eps / h + h^2


def test_a_soft_gate_is_a_constant_to_the_gradient():
    residual = np.linspace(-4, 4, 41)
    value, slope = one(pieces(width=0.5, dtype="float64"), residual)
    z = np.pad(np.cumsum((np.abs(residual)[:, None] - THRESHOLDS) / 0.5, axis=-1), [(0, 0), (1, 0)])
    shares = np.exp(z - z.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    values, slopes = (
        np.stack([part.numpy() for part in parts], axis=-1)
        for parts in zip(*(p.value_and_slope(tf.constant(residual)) for p in PIECES.values()), strict=True)
    )
    shifts = np.zeros((41, 4))
    for k, t in enumerate(THRESHOLDS, 1):
        ends = tf.constant(np.where(residual < 0, -t, t))
        before, after = list(PIECES.values())[k - 1 : k + 1]
        shifts[:, k] = shifts[:, k - 1] + before.value(ends) - after.value(ends)
    np.testing.assert_allclose(value, (shares * (values + shifts)).sum(axis=-1), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(slope, (shares * slopes).sum(axis=-1), rtol=1e-13, atol=1e-15)


# What is off, what is infinite


def test_an_infinite_loss_that_an_element_did_not_choose_stays_out():
    @keras.saving.register_keras_serializable(package="tests")
    class Pole(losses.Penalty):
        """1 / |r|: infinite at 0, where its slope is NaN."""

        def _value_and_slope(self, residual):
            return 1 / abs(residual), -tf.sign(residual) / residual**2

        def get_config(self):
            return {}

    blend = bl.Blend({"square": losses.SquaredError(), "pole": Pole()}, ByResidual([1.0], continuous=False))
    for regime in (lambda f: f, tf.function, lambda f: tf.function(f, jit_compile=True)):
        output, slope = regime(lambda p: compute(blend, tf.zeros([2, 2]), p))(tf.constant([[0.0, 0.5], [-2.0, 0.0]]))
        np.testing.assert_allclose(output.value, (0.25 + 0.5) / 4)
        np.testing.assert_allclose(slope, [[0, 0.25], [0.0625, 0]])
        np.testing.assert_allclose(output.losses, [4.25 / 4, np.inf])


@pytest.mark.parametrize("mode", ["soft", "annealed", "hard", "reinmax"])
def test_an_infinite_residual_is_as_in_huber(mode):
    prediction = tf.constant([[np.inf], [1.0], [-np.inf], [3.0]])
    output, slope = compute(joined(mode=MODES[mode]), tf.zeros([4, 1]), prediction)
    expected, expected_slope = compute(huber(), tf.zeros([4, 1]), prediction)
    assert float(output.value) == float(expected.value) == np.inf
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-6)


def test_a_nan_residual_is_nan_and_only_in_its_own_example():
    output, slope = compute(joined(reduction="none"), tf.zeros([2, 1]), tf.constant([[np.nan], [3.0]]))
    np.testing.assert_array_equal(np.isnan(output.value), [True, False])
    np.testing.assert_allclose(slope[1], [DELTA], rtol=1e-6)


def test_empty_batch_is_zero():
    output = joined().compute(tf.zeros([0, 2]), tf.zeros([0, 2]))
    assert [float(x) for x in (output.value, output.cost)] == [0, 0]
    assert np.isfinite(output.weights).all()


# BlendMetrics, modes


def test_the_output_has_the_means_over_all_elements():
    residual = np.array([[0.25, -1.0], [3.0, -0.5]])
    output = joined(1.0).compute(np.zeros((2, 2)), residual, [1.0, 3.0])
    of_example = np.array([[(0.25**2 + 1) / 4, (9 + 0.25) / 4], [(0.25 + 1) / 2, 3.5 / 2]])
    np.testing.assert_allclose(output.losses, of_example @ [1, 3] / 2, rtol=1e-14)
    np.testing.assert_allclose(output.weights, [0.75, 0.25])
    np.testing.assert_allclose(output.cost, 3 * (-0.5 / 2) / 2)
    np.testing.assert_allclose(output.value, ((0.25**2 + 1) / 4 + 3 * (2.5 + 0.125) / 2) / 2, rtol=1e-14)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(7,), (4, 5, 2)], ids=str)
def test_every_mode_weighs_every_element(mode, shape):
    blend = pieces(MODES[mode], width=0.5)
    residual = tf.constant(2 * RNG.normal(size=shape))
    eager, slope = compute(blend, tf.zeros(shape, tf.float64), residual)
    np.testing.assert_allclose(np.sum(eager.weights), 1, rtol=1e-6)
    assert np.isfinite(slope).all()
    compiled = tf.function(lambda r: compute(blend, tf.zeros_like(r), r), jit_compile=True)
    for a, b in zip(tf.nest.flatten(compiled(residual)), tf.nest.flatten((eager, slope)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # the shares are float32


def test_replicas_give_the_mean_over_all_examples(replicas):
    residual = np.float32([[0.25], [-1.0], [3.0], [-0.5]])
    (batch,) = replicas.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(residual).batch(4))
    with replicas.scope():
        blend = joined()
    values = replicas.run(tf.function(lambda r: blend(tf.zeros_like(r), r)), args=(batch,))
    total = replicas.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
    np.testing.assert_allclose(total, joined()(0 * residual, residual), rtol=1e-6)


# In fit


def test_fit_is_hubers_fit():
    x = RNG.normal(size=(64, 3)).astype("float32")
    y = x @ RNG.normal(size=(3, 2)).astype("float32") + RNG.standard_t(1.5, size=(64, 2)).astype("float32")

    def fitted(blend):
        keras.utils.set_random_seed(0)
        model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(2)]), blend)
        model.compile("sgd")
        history = model.fit(x, y, epochs=3, batch_size=16, shuffle=False, verbose=0).history
        return history, model.network.get_weights()

    (ours, weights), (theirs, expected) = fitted(joined()), fitted(huber())
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
    for a, b in zip(weights, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert "cost" in ours
    assert "cost" not in fitted(joined(gate=ByResidual([DELTA], continuous=False)))[0]


# What it refuses


def test_losses_that_are_no_penalties_are_refused():
    with pytest.raises(TypeError, match="every loss must be a penalty.*Received: b='mae'"):
        bl.Blend({"a": losses.SquaredError(), "b": "mae"}, ByResidual([1.0]))
    with pytest.raises(ValueError, match="needs residuals, which losses that are names alone have not"):
        bl.Blend(["a", "b"], ByResidual([1.0]))
    blend = joined()
    with pytest.raises(ValueError, match="needs residuals, which `combine` has not"):
        blend.combine({"near": 1.0, "far": 2.0})


@pytest.mark.parametrize("thresholds", [[1.0], [1.0, 2.0, 3.0]], ids=len)
def test_wrong_numbers_of_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="`thresholds` must have 2 numbers for 3 losses"):
        bl.Blend(dict.fromkeys("abc", losses.Huber()), ByResidual(thresholds))


@pytest.mark.parametrize("thresholds", [[0.0, 1.0], [-1.0]], ids=str)
def test_thresholds_are_positive(thresholds):
    with pytest.raises(ValueError, match=r"`thresholds\[0\]` must be positive"):
        ByResidual(thresholds)
