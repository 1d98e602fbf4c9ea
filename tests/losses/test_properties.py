"""What must hold of every penalty, or of those that promise it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from blendloss import losses
from tests.losses.penalties import every_penalty, select, unit

GRID = np.concatenate([np.geomspace(1e-6, 30, 400), [1e-30, 1e3, 1e9]])
ROBUST = (
    losses.Huber,
    losses.PseudoHuber,
    losses.LogCosh,
    losses.Cauchy,
    losses.GemanMcClure,
    losses.Welsch,
    losses.Tukey,
    losses.Fair,
)
KINKED = (losses.AbsoluteError, losses.Quantile, losses.EpsilonInsensitive)


def numbers(tensor):
    return np.asarray(tensor)


@every_penalty
def test_zero_at_zero_and_never_negative(penalty):
    value, slope = penalty.value_and_slope(np.concatenate([[0.0], GRID, -GRID]))
    assert value[0] == 0
    assert slope[0] == 0
    assert (numbers(value) >= 0).all()


@every_penalty
def test_rises_with_the_magnitude_on_both_sides(penalty):
    grid = np.sort(GRID)
    for sign in (1, -1):
        value, slope = map(numbers, penalty.value_and_slope(sign * grid))
        with np.errstate(invalid="ignore"):
            steps = np.diff(value)
        assert (steps[np.isfinite(steps)] >= -1e-15 * value[:-1][np.isfinite(steps)]).all()
        assert (sign * slope >= 0).all()


@every_penalty
def test_even_value_and_odd_slope(penalty):
    if isinstance(penalty, losses.Quantile):
        penalty = losses.Quantile(0.5, penalty.scale)
    right, left = penalty.value_and_slope(GRID), penalty.value_and_slope(-GRID)
    np.testing.assert_array_equal(right[0], left[0])
    np.testing.assert_array_equal(right[1], -left[1])


@select(*ROBUST)
def test_unit_curvature_at_zero(penalty):
    residual = np.array([1e-9, -1e-9, 1e-30])
    value, slope = penalty.value_and_slope(residual)
    np.testing.assert_allclose(slope, residual, rtol=1e-8)
    np.testing.assert_allclose(value, residual**2 / 2, rtol=1e-8)


@select(losses.Barron)
def test_barron_has_curvature_one_over_c_squared(penalty):
    residual = np.array([1e-9, -1e-9, 1e-30])
    np.testing.assert_allclose(penalty.slope(residual), residual / penalty.scale**2, rtol=1e-8)


@select(*ROBUST)
def test_scale_relation(penalty):
    """rho_s(r) = s^2 rho_1(r / s) and psi_s(r) = s psi_1(r / s)."""
    scale, one = unit(penalty), type(penalty)(1.0)
    value, slope = penalty.value_and_slope(GRID)
    np.testing.assert_allclose(value, scale**2 * one.value(GRID / scale), rtol=1e-12)
    np.testing.assert_allclose(slope, scale * one.slope(GRID / scale), rtol=2e-12, atol=1e-300)


@select(losses.GemanMcClure, losses.Welsch, losses.Tukey)
def test_bounded_penalties_approach_their_bound(penalty):
    top = penalty.scale**2 / (6 if isinstance(penalty, losses.Tukey) else 2)
    value = numbers(penalty.value(GRID))
    assert (value <= top * (1 + 1e-15)).all()
    assert value[-1] == pytest.approx(top, rel=1e-12)


@select(losses.Huber, losses.PseudoHuber, losses.LogCosh, losses.Fair, losses.Cauchy)
def test_bounded_slopes(penalty):
    top = unit(penalty) / (2 if isinstance(penalty, losses.Cauchy) else 1)
    assert (numbers(penalty.slope(GRID)) <= top * (1 + 1e-15)).all()


@every_penalty
def test_slope_is_the_derivative_of_the_value(penalty):
    centre = np.array([-4.3, -1.1, -0.37, -0.02, 0.013, 0.2, 0.71, 1.9, 3.3])
    step = 1e-5 * np.abs(centre)
    difference = (penalty.value(centre + step) - penalty.value(centre - step)) / (2 * step)
    np.testing.assert_allclose(penalty.slope(centre), difference, rtol=1e-7, atol=1e-12)


@every_penalty
def test_forward_mode_gives_the_slope(penalty):
    residual = tf.constant([-4.3, -0.37, 0.013, 0.2, 0.71, 1.9, 30.0], tf.float64)
    with tf.autodiff.ForwardAccumulator(residual, tf.ones_like(residual)) as accumulator:
        value = penalty.value(residual)
    np.testing.assert_allclose(accumulator.jvp(value), penalty.slope(residual), rtol=1e-13, atol=1e-15)


@every_penalty
def test_gradient_is_the_slope_and_the_second_derivative_its_difference(penalty):
    centre = np.array([-4.3, -1.1, -0.37, -0.02, 0.013, 0.2, 0.71, 1.9, 3.3])

    @tf.function(autograph=False)
    def derivatives(residual):
        with tf.GradientTape() as outer:
            outer.watch(residual)
            with tf.GradientTape() as inner:
                inner.watch(residual)
                value = penalty.value(residual)
            first = inner.gradient(value, residual)
        return first, outer.gradient(first, residual, unconnected_gradients="zero")

    first, second = derivatives(tf.constant(centre))
    np.testing.assert_allclose(first, penalty.slope(centre), rtol=1e-14)
    step = 1e-5 * np.abs(centre)
    difference = (penalty.slope(centre + step) - penalty.slope(centre - step)) / (2 * step)
    np.testing.assert_allclose(second, difference, rtol=1e-6, atol=1e-9)


@every_penalty
@pytest.mark.parametrize(
    ("dtype", "jit"),
    [(tf.float32, False), (tf.float64, False), (tf.float32, True)],
    ids=["float32-graph", "float64-graph", "float32-xla"],
)
def test_second_derivative_is_never_nan(penalty, dtype, jit):
    if penalty == losses.Barron(math.inf, 1.4):
        places = [0.0, 1e-30, 1e-12, 1.4, -1.4, 3.0]  # beyond, the penalty itself overflows
    elif penalty == losses.Barron(3.3, 1.1):
        places = [0.0, 1e-30, 1e-12, 1.1, -1.1, 30.0, 1e10]
    else:
        places = [0.0, 1e-30, 1e-12, unit(penalty), -unit(penalty), 30.0, 1e10, -1e30]

    def second(residual):
        with tf.GradientTape() as tape:
            tape.watch(residual)
            slope = penalty.slope(residual)
        return tape.gradient(slope, residual, unconnected_gradients="zero")

    places = tf.constant(places, dtype)
    curvature = numbers(tf.function(second, jit_compile=jit, autograph=False)(places))
    eager, slope = numbers(second(places)), numbers(penalty.slope(places))
    # Autodiff adds terms of size psi / r, which may cancel: that sets the size of its rounding errors.
    terms = np.divide(slope, places, out=np.ones_like(slope), where=numbers(places) != 0)
    size = np.maximum(np.abs(terms), np.abs(eager))
    assert (np.abs(curvature - eager) <= 16 * np.finfo(slope.dtype).eps * size).all()
    assert not np.isnan(curvature).any(), curvature
    at_zero: dict[type, float] = {losses.SquaredError: 2 / unit(penalty) ** 2, losses.Barron: 1 / unit(penalty) ** 2}
    expected = 0.0 if isinstance(penalty, KINKED) else at_zero.get(type(penalty), 1.0)
    np.testing.assert_allclose(curvature[:3], expected, rtol=1e-6)


@pytest.mark.parametrize("alpha", [-math.inf, -3.0, -0.5, 0.0, 0.3, 1.0, 1.7, 2.0])
def test_barron_slope_is_bounded(alpha):
    """|psi| <= |r| / c^2 for alpha <= 2, and <= 1 / c for alpha <= 1."""
    penalty = losses.Barron(alpha, 0.7)
    slope = numbers(penalty.slope(GRID))
    assert (slope <= GRID / 0.49 * (1 + 1e-14)).all()
    assert alpha > 1 or (slope <= (1 + 1e-14) / 0.7).all()


def test_barron_rises_with_alpha():
    alphas = [-math.inf, -30, -4, -2, -0.5, -1e-9, 0, 1e-9, 0.4, 1, 1.5, 2 - 1e-9, 2, 2 + 1e-9, 2.5, 4, 30, math.inf]
    residual = np.geomspace(1e-3, 20, 100)
    values = np.stack([losses.Barron(float(alpha)).value(residual) for alpha in alphas])
    assert (values[1:] >= values[:-1] * (1 - 1e-14)).all()


BARRON = [
    ("4", 4.0, lambda s: s * s / 8 + s / 2),
    ("2", 2.0, lambda s: s / 2),
    ("1", 1.0, lambda s: np.sqrt(s + 1) - 1),
    ("0", 0.0, lambda s: np.log1p(s / 2)),
    ("minus-2", -2.0, lambda s: 2 * s / (s + 4)),
    ("minus-inf", -math.inf, lambda s: -np.expm1(-s / 2)),
    ("inf", math.inf, lambda s: np.expm1(s / 2)),
]


@pytest.mark.parametrize(("alpha", "formula"), [row[1:] for row in BARRON], ids=[row[0] for row in BARRON])
def test_barron_special_cases(alpha, formula):
    residual = np.linspace(0.1, 5, 50)
    np.testing.assert_allclose(losses.Barron(alpha, 1.5).value(residual), formula((residual / 1.5) ** 2), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("off", [1e-5, -1e-5, 1e-8, 1e-15, 5e-324])
def test_barron_is_continuous_at_its_special_cases(alpha, off):
    residual = np.geomspace(1e-8, 1e3, 60)
    near, at = losses.Barron(alpha + off).value(residual), losses.Barron(alpha).value(residual)
    # d log rho / d alpha grows as log(1 + u^2 / |alpha - 2|).
    np.testing.assert_allclose(near, at, rtol=abs(off) * (2 + math.log1p(1e6 / max(abs(off), 1e-300))) + 1e-14)


def test_barron_of_a_huge_alpha_is_its_limit():
    residual = np.linspace(0.1, 3, 30)
    for alpha in (1e9, -1e9):
        limit = losses.Barron(math.copysign(math.inf, alpha))
        np.testing.assert_allclose(losses.Barron(alpha).value(residual), limit.value(residual), rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("penalty", "curvature"),
    [
        (losses.PseudoHuber(2.0), lambda u: (1 + u**2) ** -1.5),
        (losses.Fair(2.0), lambda u: (1 + u) ** -2.0),
    ],
    ids=["pseudo-huber", "fair"],
)
def test_second_derivative_of_a_convex_penalty_does_not_cancel_far_out(penalty, curvature, dtype):
    u = np.array([0.0, 0.5, 1e2, 4e3, 3e4, 7e4, 1e6, 4e9, 1e10])
    residual = tf.constant(2.0 * u, dtype)
    with tf.GradientTape() as tape:
        tape.watch(residual)
        slope = penalty.slope(residual)
    np.testing.assert_allclose(tape.gradient(slope, residual), curvature(u), rtol=16 * np.finfo(dtype).eps)
