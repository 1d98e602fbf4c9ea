"""Values and slopes against published formulas, at both ends of the floating range and in every regime."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from blendloss import losses
from tests.losses import golden
from tests.losses.penalties import PENALTIES, every_penalty, unit
from tests.losses.reference import ulps, value_and_slope

# Worst error in ulp over value and slope, in every regime, float32 and float64. Most of it is TensorFlow's: log1p is
# off by up to 3 ulp, and the slopes of Tukey and Geman-McClure square or cube a quotient. Barron's powers have a
# condition number of |alpha|.
ULPS: dict[type, float] = {
    losses.SquaredError: 3,
    losses.AbsoluteError: 1,
    losses.Huber: 2,
    losses.PseudoHuber: 4,
    losses.LogCosh: 3,
    losses.Cauchy: 4,
    losses.GemanMcClure: 7,
    losses.Welsch: 4,
    losses.Tukey: 7,
    losses.Fair: 4,
    losses.Quantile: 1,
    losses.EpsilonInsensitive: 1,
    losses.Barron: 10,
}
FLOATS: list[Any] = [np.float32, np.float64]
REGIMES = ["eager", "graph", "xla"]


def bound(penalty: losses.Penalty) -> float:
    alpha = penalty.get_config().get("alpha", 0.0)
    return ULPS[type(penalty)] + (2 * abs(alpha) if math.isfinite(alpha) else 0)


SPECIAL = [math.inf, -math.inf, 0.0, -0.0, math.nan]


@functools.cache
def compute(penalty: losses.Penalty, dtype: type, regime: str) -> list[np.ndarray]:
    """Value and slope at SPECIAL and then over the sweep: one compilation for both."""
    function: Any = penalty.value_and_slope
    if regime != "eager":
        function = tf.function(function, jit_compile=regime == "xla", autograph=False)
    residual = np.concatenate([np.array(SPECIAL, dtype), sweep(unit(penalty), dtype)])
    return [tensor.numpy() for tensor in function(tf.constant(residual))]


def sweep(unit: float, dtype: type) -> np.ndarray:
    """Both signs from 1e-30 to 1e30, dense around `unit` and deep into a Gaussian's tail."""
    generator = np.random.default_rng(0)
    wide = 10 ** generator.uniform(-30, 30, 1500)
    dense = np.concatenate([10 ** generator.uniform(-3, 3, 1500), generator.uniform(0, 12, 1500)])
    near_one = 1 + np.concatenate([np.linspace(-1e-3, 1e-3, 201), np.linspace(-3e-7, 3e-7, 101)])
    magnitude = np.concatenate([wide, dense, np.clip(unit * np.concatenate([dense, near_one]), 1e-30, 1e30)])
    return np.concatenate([magnitude, -magnitude[::3]]).astype(dtype)


EXTREMES = [
    (f"{name}-{scale:g}", cls(scale))
    for name, cls in [
        ("huber", losses.Huber),
        ("pseudo-huber", losses.PseudoHuber),
        ("log-cosh", losses.LogCosh),
        ("cauchy", losses.Cauchy),
        ("geman-mcclure", losses.GemanMcClure),
        ("welsch", losses.Welsch),
        ("tukey", losses.Tukey),
        ("fair", losses.Fair),
    ]
    for scale in (1e-12, 1e12)
]
# Twice in a row their product would overflow in float32.
EXTREMES += [("cauchy-1e+20", losses.Cauchy(1e20)), ("welsch-1e+20", losses.Welsch(1e20))]
EXTREMES += [(f"fair-{scale}", losses.Fair(scale)) for scale in (0.3, 5.1, 37.0)]
EXTREMES += [
    (f"barron({alpha:g})-{scale:g}", losses.Barron(alpha, scale))
    for alpha, scale in [(-0.5, 1e-7), (0.0, 1e-7), (0.0, 1e7), (1.3, 1e7), (-math.inf, 1e-12), (math.inf, 1e7)]
]
SWEPT = PENALTIES + EXTREMES


@pytest.mark.parametrize("penalty", [p for _, p in SWEPT], ids=[i for i, _ in SWEPT])
@pytest.mark.parametrize("regime", REGIMES)
def test_value_and_slope_are_within_a_few_ulp_from_1e_minus_30_to_1e30(penalty, regime):
    for dtype in FLOATS:
        if np.finfo(np.longdouble).eps >= np.finfo(dtype).eps:
            pytest.skip("this platform's long double is no more precise than float64")
        residual = sweep(unit(penalty), dtype)
        expected = value_and_slope(penalty, residual)
        swept = [result[len(SPECIAL) :] for result in compute(penalty, dtype, regime)]
        for name, got, exact in zip(["value", "slope"], swept, expected, strict=True):
            assert got.dtype == dtype
            error = ulps(got, exact)
            worst = int(error.argmax())
            assert error[worst] <= bound(penalty), f"{name}({residual[worst]!r}) = {got[worst]!r}, not {exact[worst]!r}"


def test_a_gaussian_s_tail_ends_at_any_scale():
    assert list(losses.Welsch(1e30).slope(tf.constant([3e38, math.inf]))) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("penalty", "residuals", "values", "slopes"), [row[1:] for row in golden.ROWS], ids=[row[0] for row in golden.ROWS]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_golden_values(penalty, residuals, values, slopes, dtype):
    value, slope = penalty.value_and_slope(tf.constant(residuals, dtype))
    tolerance = 12 * np.finfo(dtype).eps
    np.testing.assert_allclose(value, values, rtol=tolerance, atol=0)
    np.testing.assert_allclose(slope, slopes, rtol=tolerance, atol=0)


def test_every_penalty_has_a_golden_row():
    exported = {getattr(losses, name) for name in losses.__all__}
    classes = {kind for kind in exported if isinstance(kind, type)}
    penalties = {kind for kind in classes if issubclass(kind, losses.Penalty)} - {losses.Penalty}
    assert penalties == {type(row[1]) for row in golden.ROWS} == set(ULPS)


LIMITS = {  # rho and psi at +inf, in units of the scale; SquaredError() to Barron(inf)
    losses.SquaredError: lambda p: (math.inf, math.inf),
    losses.AbsoluteError: lambda p: (math.inf, 1 / p.scale),
    losses.Huber: lambda p: (math.inf, p.delta),
    losses.PseudoHuber: lambda p: (math.inf, p.delta),
    losses.LogCosh: lambda p: (math.inf, p.scale),
    losses.Cauchy: lambda p: (math.inf, 0),
    losses.GemanMcClure: lambda p: (p.scale**2 / 2, 0),
    losses.Welsch: lambda p: (p.scale**2 / 2, 0),
    losses.Tukey: lambda p: (p.scale**2 / 6, 0),
    losses.Fair: lambda p: (math.inf, p.scale),
    losses.Quantile: lambda p: (math.inf, (1 - p.quantile) / p.scale),
    losses.EpsilonInsensitive: lambda p: (math.inf, 1),
    losses.Barron: lambda p: (
        math.inf if p.alpha >= 0 else 1 if p.alpha == -math.inf else (p.alpha - 2) / p.alpha,
        0 if p.alpha < 1 else 1 / p.scale if p.alpha == 1 else math.inf,
    ),
}


@every_penalty
@pytest.mark.parametrize("regime", REGIMES)
def test_limits_at_infinity_zero_at_zero_and_nan_at_nan(penalty, regime):
    for dtype in FLOATS:
        value, slope = (result[: len(SPECIAL)] for result in compute(penalty, dtype, regime))
        rho, psi = LIMITS[type(penalty)](penalty)
        below = -penalty.quantile / penalty.scale if isinstance(penalty, losses.Quantile) else -psi
        np.testing.assert_allclose(value, [rho, rho, 0, 0, math.nan], rtol=1e-6)
        np.testing.assert_allclose(slope, [psi, below, 0, 0, math.nan], rtol=1e-6)


@every_penalty
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32_and_rounded_once(penalty, dtype):
    residual = tf.cast(tf.constant([-3.0, -0.01, 0.0, 0.5, 2.0]), dtype)
    exact = penalty.value_and_slope(tf.cast(residual, tf.float32))
    for got, wide in zip(penalty.value_and_slope(residual), exact, strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(tf.cast(got, tf.float32), tf.cast(tf.cast(wide, dtype), tf.float32))
    assert penalty([[0.0, 0.0]], tf.cast([[1.0, 2.0]], dtype)).dtype == dtype


@every_penalty
def test_unknown_batch_traces_once_and_agrees_with_eager(penalty):
    signature = [tf.TensorSpec([None, 3], tf.float32)] * 2
    function = tf.function(penalty, input_signature=signature, autograph=False)
    for batch in (1, 5):
        y_true, y_pred = tf.random.stateless_normal([2, batch, 3], [0, batch])
        np.testing.assert_allclose(function(y_true, y_pred), penalty(y_true, y_pred), rtol=1e-6)
    assert function.experimental_get_tracing_count() == 1
    assert function.get_concrete_function().output_shapes.as_list() == [None]
