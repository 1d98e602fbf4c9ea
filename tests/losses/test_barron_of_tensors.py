"""Barron's penalty of tensors, and its normalizer: values and derivatives in residual, shape and scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from blendloss.losses import AdaptiveBarron, Barron
from blendloss.losses._barron_of_tensors import Shape, _value_and_slopes, log_partition
from blendloss.losses._barron_of_tensors import values as barron
from tests.losses.reference import Wide

RNG = np.random.default_rng(0)


def shape_of(alpha):
    """alpha and 2 - alpha, of a float or an array."""
    alpha = np.asarray(alpha, np.float64)
    return Shape(tf.constant(alpha), tf.constant(2.0 - alpha))


def loss_at(alpha, scale=1.0, **named):
    return AdaptiveBarron(low=0.0, high=2.0, initial_alpha=alpha, initial_scale=scale, **named)


def reference(residual, alpha, b, scale):
    """rho and its derivatives in r, alpha and c in extended precision; that in alpha by integrating the slope's."""
    residual, alpha, b, scale = (x.astype(Wide) for x in (residual, alpha, b, scale))
    u = abs(residual) / scale
    log = np.log1p(u * u / b)
    z = alpha * log / 2
    growth = np.where(z < 1e-4, 1 + z / 2 + z**2 / 6 + z**3 / 24, np.expm1(z) / np.where(z == 0, 1, z))
    decay = np.exp(-b / 2 * log)
    points, weights = np.polynomial.legendre.leggauss(24)
    panels, total = 8, Wide(0)
    for panel in range(panels):
        for point, weight in zip(points, weights, strict=True):
            y = log * (panel + (1 + Wide(point)) / 2) / panels
            series = sum((-1) ** n * y ** (n + 2) / Wide(math.factorial(n + 2)) for n in range(10))
            total = total + weight / 2 / panels * log * np.exp(alpha * y / 2) * np.where(
                y < 0.01, series, y - 1 + np.exp(-y)
            )
    return b / 2 * log * growth, np.sign(residual) * u / scale * decay, b / 4 * total, -u * u / scale * decay


@pytest.mark.parametrize("ends", [(0.001, 1.999), (0.0, 2.0)], ids=["published-range", "whole-range"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("regime", ["eager", "xla"])
def test_value_and_derivatives_from_1e_minus_30_to_1e30(ends, dtype, regime):
    if np.finfo(Wide).eps >= np.finfo(dtype).eps:
        pytest.skip("this platform's long double is no more precise than float64")
    generator, number, (low, high) = np.random.default_rng(1), 600, ends
    latent = tf.constant(np.concatenate([np.linspace(-60, 60, number), generator.uniform(-6, 6, number)]), dtype)
    alpha = low + (high - low) * tf.sigmoid(latent)
    b = (2 - high) + (high - low) * tf.sigmoid(-latent)
    b = tf.maximum(b, {np.float32: 1e-9, np.float64: 1e-18}[dtype])  # what counts as 2
    scale = 10 ** generator.uniform(-5, 3, 2 * number)
    far = generator.uniform(size=2 * number) < 0.5
    exponents = generator.uniform(-1, 1, (2, 2 * number)) * [[30], [3]]
    ratio = 10 ** np.where(far, exponents[0], exponents[1])
    residual = (ratio * scale * generator.choice([-1, 1], 2 * number)).astype(dtype)
    scale = scale.astype(dtype)

    function = tf.function(
        lambda *x: _value_and_slopes(x[0], Shape(x[1], x[2]), x[3]), autograph=False, jit_compile=True
    )
    if regime == "eager":
        function = function.python_function
    found = function(tf.constant(residual), alpha, b, tf.constant(scale))
    expected = reference(residual, alpha.numpy(), b.numpy(), scale)
    limits = np.finfo(dtype)
    # alpha and b are rounded, and their sum is 2 to 3 units or so: half of log S times that in an exponent. The rest is
    # ours: the derivative in alpha is a difference of terms up to 10 times its size.
    in_exponent = 1.5 * np.log1p((residual / scale).astype(Wide) ** 2 / b.numpy().astype(Wide)).astype(np.float64)
    for name, ours, exact in zip(("value", "in r", "in alpha", "in c"), found, expected, strict=True):
        shown = (abs(exact) > 1e4 * limits.tiny) & (abs(exact) < limits.max / 1e4)
        assert shown.mean() > 0.6
        error = np.where(shown, abs(ours.numpy().astype(Wide) - exact) / abs(exact), 0) / limits.eps
        worst = int((error - in_exponent).argmax())
        where = f"{name} at alpha={alpha[worst]}, u={residual[worst] / scale[worst]}: {ours[worst]}, {exact[worst]}"
        assert not np.isnan(error).any()
        assert error[worst] <= in_exponent[worst] + (24 if name == "in alpha" else 12), where


@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.5, 1.0, 1.7, 2.0 - 1e-6, 2.0])
def test_tensors_give_the_values_of_the_fixed_penalty(alpha):
    residual = np.concatenate([[0.0], np.geomspace(1e-12, 1e12, 97)]) * np.tile([1, -1], 49)
    alphas = np.full_like(residual, alpha)
    scale = np.full_like(residual, 0.7)
    tensor = tf.constant(residual)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = barron(tensor, shape_of(alphas), tf.constant(scale))
    fixed = Barron(alpha, 0.7)
    # 2 - alpha is exact here; log |u| up to 28 in an exponent, and 12 roundings.
    np.testing.assert_allclose(value, fixed.value(residual), rtol=40 * 2.0**-52)
    np.testing.assert_allclose(tape.gradient(value, tensor), fixed.slope(residual), rtol=40 * 2.0**-52)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zero_infinity_and_nan(dtype):
    residual = tf.constant([0.0, -math.inf, math.inf, math.nan], dtype)
    for alpha, far in ((0.5, 0.0), (1.0, 0.5), (1.5, math.inf)):
        shape = Shape(tf.fill([4], tf.constant(alpha, dtype)), tf.fill([4], tf.constant(2 - alpha, dtype)))
        value, in_r, in_alpha, in_c = _value_and_slopes(residual, shape, tf.fill([4], tf.constant(2.0, dtype)))
        np.testing.assert_array_equal(value, [0, math.inf, math.inf, math.nan])
        np.testing.assert_array_equal(in_r, [0, -far, far, math.nan])
        np.testing.assert_array_equal(in_alpha, [0, math.inf, math.inf, math.nan])
        np.testing.assert_array_equal(in_c, [0, -math.inf, -math.inf, math.nan])


# Z(n / d) of the published code's test, to the ten digits printed there.
Z = {
    1 / 7: 4.080330073,
    1 / 5: 3.984791180,
    1 / 3: 3.808203509,
    3 / 7: 3.706553276,
    3 / 5: 3.553489270,
    3 / 4: 3.439385624,
    1.0: 3.272306973,
    5 / 4: 3.119044506,
    7 / 5: 3.028084866,
    8 / 5: 2.901059987,
    7 / 4: 2.794052016,
}


@pytest.mark.parametrize("alpha", Z)
def test_normalizer_is_the_published_table(alpha):
    assert math.exp(log_partition(shape_of(alpha))) == pytest.approx(Z[alpha], abs=1e-9)


def test_normalizer_at_both_ends_and_of_several():
    ends = np.exp(log_partition(shape_of([0.0, 2.0])))
    np.testing.assert_allclose(ends, [math.pi * math.sqrt(2), math.sqrt(2 * math.pi)], rtol=1e-11)
    alphas = np.linspace(0, 2, 9)
    one_by_one = [float(log_partition(shape_of(alpha))) for alpha in alphas]
    np.testing.assert_allclose(log_partition(shape_of(alphas)), one_by_one, rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.0, 1.6, 1.97])
def test_derivatives_of_the_normalizer(alpha):
    """To second order: d log Z = -E d rho, and the Hessian that Newton's and look-ahead methods need."""

    def first(at):
        with tf.GradientTape() as tape:
            tape.watch(at)
            value = log_partition(Shape(at, 2.0 - at))
        return tape.gradient(value, at)

    at = tf.constant(alpha, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(at)
        slope = first(at)
    curvature = tape.gradient(slope, at)
    h = 1e-5
    ends = [float(log_partition(shape_of(alpha + sign * h))) for sign in (1, -1)]
    slopes = [float(first(at + sign * h)) for sign in (1, -1)]
    # h^2 / 6 times the third derivative, near the ends some 100 (the fourth, some 10,000), and 1e-15 / h.
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)
    assert float(curvature) == pytest.approx((slopes[0] - slopes[1]) / (2 * h), abs=1e-6)


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0])
def test_cauchy_and_normal_laws_are_the_ends_of_the_likelihood(scale):
    residual = RNG.normal(size=(50, 1)) * scale
    laws = {1e-9: stats.cauchy(0, math.sqrt(2) * scale), 2 - 1e-9: stats.norm(0, scale)}
    for alpha, law in laws.items():
        value = loss_at(alpha, scale, dtype="float64")(np.zeros_like(residual), residual)
        np.testing.assert_allclose(value, -law.logpdf(residual[:, 0]), atol=1e-6)
