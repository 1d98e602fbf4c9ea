"""Relaxations: values, invariances, extremes, half precision, first and second derivatives, every regime."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.modes import reference
from tests.modes.instances import RELAXATIONS, every_relaxation

K = 5
EPS = float(np.finfo(np.float32).eps)
# K roundings in the sum or the threshold and one each in shift, map and quotient, half a unit each; a square doubles
# them. Relative to 1, as weights are.
ROUNDING = 2 * (K + 3) * EPS / 2

RNG = np.random.default_rng(0)
# Multiples of 1/64, at scales that keep one to all of the logits in the support.
LOGITS = np.concatenate([np.round(s * RNG.normal(size=(40, K)) * 64) / 64 for s in (0.2, 1.0, 8.0)]).astype(np.float32)
TIED = np.sort(LOGITS, axis=-1)[:, [0, 1, 1, 3, 3]]
EXCLUDING = np.where(RNG.uniform(size=LOGITS.shape) < 0.4, -np.inf, LOGITS).astype(np.float32)
EXCLUDING[:, 2] = LOGITS[:, 2]
EVERY = np.concatenate([LOGITS, TIED, EXCLUDING])


def smooth(name: str) -> np.ndarray:
    """Float64 logits with every one further than a stencil from the border of the support."""
    logits = RNG.normal(size=(60, K)) * np.linspace(0.2, 3, 60)[:, None]
    if name != "softmax":
        scale = 2 if name == "entmax15" else 1
        weights = reference.VALUES[name](logits)
        largest = np.argmax(logits, -1)[:, None]
        root = np.take_along_axis(weights, largest, -1) ** (1 / scale)
        threshold = np.take_along_axis(logits, largest, -1) / scale - root
        logits = logits[(np.abs(logits / scale - threshold) > 0.02).all(-1)]
    assert len(logits) > 30
    return logits


@every_relaxation
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", ROUNDING), ("float64", ROUNDING * 2.0**-29)])
def test_values_are_those_of_bisection(relax, dtype, tolerance):
    weights = relax(tf.constant(EVERY, dtype)).numpy()
    assert weights.dtype == dtype
    np.testing.assert_allclose(weights, reference.VALUES[relax.__name__](EVERY.astype(np.float64)), 0, tolerance)


@every_relaxation
def test_weights_lie_on_the_simplex(relax):
    weights = relax(EVERY).numpy()
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.astype(np.float64).sum(-1), 1, rtol=ROUNDING)


@every_relaxation
def test_weights_near_the_border_of_the_support_are_not_negative(relax):
    # The third and fourth logit lie on the threshold of the first two, give or take a rounding.
    first = RNG.uniform(-3, 3, (20_000, 1))
    second = first + RNG.uniform(-0.9, 0.9, first.shape)
    scale = 2 if relax.__name__ == "entmax15" else 1
    mean = (first + second) / 2 / scale
    root = np.sqrt((1 - ((first - second) / 2) ** 2 / 2) / 2) if scale == 2 else 0.5
    border = scale * (mean - root)
    weights = relax(np.concatenate([first, second, border, border + 1e-7], -1).astype(np.float32)).numpy()
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.astype(np.float64).sum(-1), 1, rtol=ROUNDING)


@every_relaxation
@pytest.mark.parametrize("shift", [-256.0, 3.0, 4096.0])  # exact: logits are multiples of 1/64
def test_a_shift_of_the_logits_changes_no_bit(relax, shift):
    np.testing.assert_array_equal(relax(LOGITS + np.float32(shift)), relax(LOGITS))


@every_relaxation
def test_permuted_logits_have_permuted_weights(relax):
    order = RNG.permutation(K)
    np.testing.assert_allclose(relax(EVERY[:, order]), relax(EVERY).numpy()[:, order], rtol=0, atol=ROUNDING)


@every_relaxation
def test_a_larger_logit_never_has_a_smaller_weight(relax):
    assert (np.diff(relax(np.sort(EVERY, axis=-1)).numpy(), axis=-1) >= 0).all()


@every_relaxation
@pytest.mark.parametrize("k", [2, 3, 5, 8, 9, 17, 33])  # vectorized loops end in scalar ones
def test_ties_get_equal_weights(relax, k):
    tied = relax(TIED).numpy()
    np.testing.assert_array_equal(tied[:, [1, 3]], tied[:, [2, 4]])
    weights = relax(np.full([k], 0.3, np.float32)).numpy()
    assert len(set(weights.tolist())) == 1
    np.testing.assert_allclose(weights, 1 / k, rtol=2 * (k + 3) * EPS / 2)


@every_relaxation
def test_one_loss_has_weight_one(relax):
    np.testing.assert_array_equal(relax([[-1e30], [0.1], [1e30]]), np.ones((3, 1), np.float32))


@every_relaxation
def test_an_excluded_loss_has_weight_zero_and_does_not_touch_the_others(relax):
    weights = relax(EXCLUDING).numpy()
    assert (weights[np.isinf(EXCLUDING)] == 0).all()
    for row, logits in zip(weights, EXCLUDING, strict=True):
        kept = np.isfinite(logits)
        np.testing.assert_allclose(row[kept], relax(logits[kept]), rtol=0, atol=ROUNDING)


@every_relaxation
@pytest.mark.parametrize("rows", [1, 8, 33])  # vectorized loops end in scalar ones
def test_the_only_loss_that_is_not_excluded_has_weight_one(relax, rows):
    """To the bit: TensorFlow's own softmax multiplies by a reciprocal, which some processors approximate."""
    logits = np.tile(np.float32([-np.inf, 0.5, -np.inf]), (rows, 1))
    np.testing.assert_array_equal(relax(logits), np.tile(np.float32([0, 1, 0]), (rows, 1)))


@every_relaxation
@pytest.mark.parametrize(("dtype", "huge"), [("float16", 65504.0), ("bfloat16", 3e38), ("float32", 3.4e38)])
def test_huge_logits(relax, dtype, huge):
    logits = tf.constant([[huge, huge, -huge], [-huge, huge, 0.0], [-huge, -huge, -huge]], dtype)
    weights = tf.cast(relax(logits), tf.float32).numpy()
    third = tf.cast(tf.cast(1 / 3, dtype), tf.float32).numpy()
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0], [0, 1, 0], [third] * 3], rtol=0, atol=2 * EPS)


@every_relaxation
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("more", [0, 3])
def test_nan_and_plus_infinity_are_not_hidden(relax, jit_compile, more):
    broken = [[np.nan, 0.0, 1.0], [0.0, np.nan, 5.0], [np.inf, 0.0, 0.0], [-np.inf] * 3, [np.nan] * 3]
    logits = np.pad(np.float32([*broken, [0.0, 0.0, 0.0]]), [(0, 0), (0, more)], constant_values=-np.inf)
    weights = tf.function(relax, jit_compile=jit_compile)(logits).numpy()
    assert np.isnan(weights[:-1].sum(-1)).all()
    assert np.isfinite(weights[-1]).all()


@every_relaxation
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_half_precision_is_the_float32_result_rounded_once(relax, dtype):
    logits = tf.cast(EVERY, dtype)
    weights = relax(logits)
    assert weights.dtype == dtype
    single = relax(tf.cast(logits, tf.float32))
    np.testing.assert_array_equal(tf.cast(weights, tf.float32), tf.cast(tf.cast(single, dtype), tf.float32))
    # Each weight is rounded by half a unit of itself, and the weights sum to 1.
    unit = 2.0**-10 if dtype == tf.float16 else 2.0**-7
    np.testing.assert_allclose(tf.cast(weights, tf.float64).numpy().sum(-1), 1, rtol=unit / 2 + ROUNDING)


def jacobian(relax, logits):
    """dp_i / dz_j, `[B, K, K]`: row i is a gradient of its own copy of the logits."""
    copies = tf.repeat(tf.constant(logits)[:, tf.newaxis], K, axis=1)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        weights = relax(copies)
    return tape.gradient(weights, copies, output_gradients=tf.eye(K, batch_shape=[len(logits)], dtype=copies.dtype))


@every_relaxation
def test_jacobian_is_the_closed_form_of_the_docstring(relax):
    logits = EVERY.astype(np.float64)
    expected = reference.jacobian(relax.__name__, logits)
    if relax.__name__ != "softmax":  # at the border of the support the Jacobian jumps
        weights = reference.VALUES[relax.__name__](logits)
        inside = ((weights == 0) | (weights > 1e-6)).all(-1)
        logits, expected = logits[inside], expected[inside]
    assert len(logits) > 200
    # s s^T / sum(s) is a dozen roundings; s = sqrt(p) halves the digits of a p that bisection knows to 1e-16.
    np.testing.assert_allclose(jacobian(relax, logits), expected, rtol=0, atol=1e-12)


@every_relaxation
def test_jacobian_is_that_of_finite_differences(relax):
    logits = smooth(relax.__name__)
    numeric = reference.derivative(lambda z: relax(tf.constant(z)).numpy(), logits)
    np.testing.assert_allclose(jacobian(relax, logits), numeric, rtol=0, atol=1e-10)


@every_relaxation
def test_second_derivatives_are_those_of_the_closed_form(relax):
    logits = smooth(relax.__name__)
    direction = RNG.normal(size=(len(logits), K))
    copies = tf.repeat(tf.constant(logits)[:, tf.newaxis], K, axis=1)
    with tf.GradientTape() as outer:
        outer.watch(copies)
        with tf.GradientTape() as inner:
            inner.watch(copies)
            along = tf.einsum("bik,bk->bi", relax(copies), direction)
        gradient = tf.einsum("bii->bi", inner.gradient(along, copies))
    hessian = outer.gradient(gradient, copies, unconnected_gradients="zero")

    def exact_gradient(z):
        return np.einsum("bij,bi->bj", reference.jacobian(relax.__name__, z), direction)

    numeric = reference.derivative(exact_gradient, logits)
    np.testing.assert_allclose(hessian, numeric, rtol=0, atol=1e-9)


@every_relaxation
def test_derivatives_are_finite_with_excluded_and_huge_logits(relax):
    extremes = np.float32(
        [[-np.inf, 1, 1, 2, -3e38], [3e38, 0, -np.inf, 3e38, 1], [0, -np.inf, -np.inf, -np.inf, -np.inf]]
    )
    logits = tf.constant(np.concatenate([EXCLUDING, extremes]))
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            along = tf.reduce_sum(relax(logits) * tf.range(1.0, K + 1))
        first = inner.gradient(along, logits)
        squares = tf.reduce_sum(first**2)
    second = outer.gradient(squares, logits, unconnected_gradients="zero")
    for gradient in (first.numpy(), second.numpy()):
        assert np.isfinite(gradient).all()
        assert (gradient[np.isinf(logits)] == 0).all()


@every_relaxation
def test_rows_of_a_batch_do_not_touch_each_other(relax):
    together = relax(EVERY).numpy()
    for row in range(0, len(EVERY), 7):
        np.testing.assert_allclose(together[row], relax(EVERY[row]), rtol=0, atol=ROUNDING)
    assert relax(np.zeros((0, K), np.float32)).shape == (0, K)
    np.testing.assert_array_equal(relax(EVERY.reshape(3, -1, K)).numpy().reshape(-1, K), together)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_regimes_and_unknown_shapes_agree(jit_compile):
    def every(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            weights = tf.stack([relax(logits) for _, relax in RELAXATIONS])
        return weights, tape.gradient(weights, logits, output_gradients=tf.ones_like(weights) * tf.range(1.0, K + 1))

    generic = (LOGITS + 1e-3 * RNG.normal(size=LOGITS.shape)).astype(np.float32)  # no logit on a border
    expected = every(tf.constant(generic))
    for shape, given in (([None, None], slice(None)), ([None], 0)):
        function = tf.function(every, input_signature=[tf.TensorSpec(shape, tf.float32)], jit_compile=jit_compile)
        weights, gradient = function(generic[given])
        np.testing.assert_allclose(weights, expected[0].numpy()[:, given], rtol=0, atol=ROUNDING)
        np.testing.assert_array_equal(weights == 0, expected[0].numpy()[:, given] == 0)
        # Upstream gradients are at most K, three relaxations are added.
        np.testing.assert_allclose(gradient, expected[1].numpy()[given], rtol=0, atol=3 * K * ROUNDING)


@every_relaxation
@pytest.mark.parametrize("logits", [[1, 2], ["a"], [True, False]], ids=str)
def test_logits_that_are_not_floating_raise(relax, logits):
    with pytest.raises(TypeError, match="`logits` must be floating"):
        relax(logits)
