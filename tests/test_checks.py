"""Numbers are checked in the dtype in which they will be used."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._internal import checks

LOSSES: list[Any] = [bl.losses.Huber, bl.losses.PseudoHuber, bl.losses.EpsilonInsensitive]
SCALED = [
    getattr(bl.losses, n)
    for n in ("AbsoluteError", "Cauchy", "Fair", "GemanMcClure", "LogCosh", "SquaredError", "Tukey", "Welsch")
]
OF_FLOAT32 = "must be between 1.2e-38 and 3.4e38 in size, the numbers that float32 holds"


@pytest.mark.parametrize(
    "check", [checks.real, checks.finite, checks.positive, checks.integer], ids=lambda check: check.__name__
)
@pytest.mark.parametrize("huge", [10**400, -(10**400), 10**5000], ids=["large", "negative", "without a repr"])
def test_integers_beyond_every_dtype_are_refused(check, huge):
    with pytest.raises(ValueError, match="`x` must .*Received: x="):
        check("x", huge)
    with pytest.raises(ValueError, match="`x` must be at most 1.8e308"):
        checks.real("x", Fraction(huge))


@pytest.mark.parametrize("value", [1e-45, 1e39], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        *LOSSES,
        *SCALED,
        lambda value: bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0], width=value),
        lambda value: bl.gates.FAMO(learning_rate=value),
        lambda value: bl.gates.Learned([value, 1.0]),
        lambda value: bl.schedules.linear(0.0, value, steps=1),
        lambda value: bl.modes.StraightThrough(temperature=value),
        lambda value: bl.gates.families.Dirichlet(value),
    ],
)
def test_constants_that_float32_cannot_hold_are_refused(make, value):
    with pytest.raises(ValueError, match=f"{OF_FLOAT32}|must be at most 8.5"):
        make(value)


def test_zero_is_held():
    assert bl.losses.EpsilonInsensitive(0.0).epsilon == 0


EXTREMES = [
    *(make(value) for make in LOSSES[:2] for value in (1.2e-38, 3.4e38)),
    *(make(value) for make in SCALED for value in (1.2e-38, 8.5e37)),
    *(
        bl.losses.Barron(alpha, value)
        for alpha in (-np.inf, -2.0, 0.0, 1.0, 1.5, 2.0, np.inf)
        for value in (1.1e-19, 9.2e18)
    ),
]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "xla"])
@pytest.mark.parametrize("loss", EXTREMES, ids=repr)
def test_values_and_slopes_are_right_at_the_ends_of_the_range(loss, compiled):
    residual = np.array([0, 1e-30, 1e-15, 1e-3, 1, 30, 1e5, 1e10, 1e15, 1e30], "float32")
    if isinstance(loss, bl.losses.Barron):  # in units of the scale, from 1e-30 to 1e30
        residual = residual[residual.astype("float64") < 1e30 * loss.scale]
    evaluate = tf.function(loss.value_and_slope, jit_compile=True) if compiled else loss.value_and_slope
    found, wanted = evaluate(tf.constant(residual)), loss.value_and_slope(residual.astype("float64"))
    for ours, exact in zip(found, wanted, strict=True):
        with np.errstate(over="ignore"):
            rounded = exact.numpy().astype("float32")
        held = (np.abs(exact) > 1e-37) & (np.abs(exact) < 3.3e38)
        np.testing.assert_allclose(ours[held], rounded[held], rtol=2e-5)
        assert not np.isnan(ours).any()
        assert (np.abs(ours[np.abs(exact) < 1e-38]) < 1e-36).all()


@pytest.mark.parametrize("make", [bl.losses.Barron, lambda scale: bl.losses.AdaptiveBarron(initial_scale=scale)])
@pytest.mark.parametrize("scale", [1e-20, 1e19], ids=str)
def test_a_scale_whose_square_float32_cannot_hold_is_refused(make, scale):
    with pytest.raises(ValueError, match="must be between 1.1e-19 and 9.2e18"):
        make(**{"scale": scale}) if make is bl.losses.Barron else make(scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9, 1e12, 1e20, 1e30, 1e39, 1e300], ids=str)
@pytest.mark.parametrize("sign", [-1, 1])
def test_barron_of_any_alpha(sign, size, dtype):
    """Against 80 bits: the general form, by log1p and expm1."""
    alpha, r = np.longdouble(sign * size), np.array([1e-3, 0.1, 1.0, 5.0])
    b = abs(alpha - 2)
    log = np.log1p(r.astype(np.longdouble) ** 2 / b) if size < 1e16 else r.astype(np.longdouble) ** 2 / b
    value, slope = b / alpha * np.expm1(alpha / 2 * log), r * np.exp((alpha / 2 - 1) * log)
    found = bl.losses.Barron(sign * size).value_and_slope(tf.constant(r, dtype))
    for ours, exact in zip(found, (value, slope), strict=True):
        np.testing.assert_allclose(ours, exact.astype("float64"), rtol=1e-5 if dtype == "float32" else 1e-13)


def test_a_gate_of_float64_takes_the_numbers_of_float64():
    gate = bl.gates.FAMO(learning_rate=1e39, epsilon=1e-45, lower_bounds=[-1e60], dtype="float64")
    assert (gate.learning_rate, gate.epsilon, gate.lower_bounds) == (1e39, 1e-45, [-1e60])
    with pytest.raises(ValueError, match="must be between 2.2e-308 and 1.8e308 in size, the numbers that float64"):
        bl.gates.FAMO(epsilon=1e-310, dtype="float64")
