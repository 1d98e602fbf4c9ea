"""Fitting a gate to given predictions."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._blend import minimizer

RESIDUALS = np.random.default_rng(0).normal(size=(500, 1)) * 3


def normal(**named):
    gate = bl.gates.ExponentialFamily(**named)
    return bl.Blend({"squared": bl.losses.SquaredError()}, gate)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_maximum_likelihood_of_the_normal_law(dtype):
    blend = normal(dtype=dtype)
    residuals = RESIDUALS.astype(dtype)
    fit = bl.fit_gate(blend, np.zeros_like(residuals), residuals)
    mean_square = np.mean(RESIDUALS**2)
    # The curvature is 1 / (2 g^2): a gradient of 1e-6, and in float32 a value of 1e-7, leave sqrt(1e-7) of g.
    tolerance = 1e-5 if dtype == "float64" else 1e-3
    np.testing.assert_allclose(blend.gate.weights_and_scale()[0], [1 / (2 * mean_square)], rtol=tolerance)
    np.testing.assert_allclose(fit.value, 0.5 * math.log(2 * math.pi * math.e * mean_square), rtol=1e-6)
    assert bool(fit.converged)
    assert 0 < int(fit.iterations) < 100


def test_sample_weights_count():
    blend = normal(dtype="float64")
    weights = np.r_[np.ones(100), np.zeros(400)]
    bl.fit_gate(blend, np.zeros_like(RESIDUALS), RESIDUALS, weights)
    # Weights of 0 lower the mean of rho and of log Z alike.
    np.testing.assert_allclose(blend.gate.weights_and_scale()[0], [1 / (2 * np.mean(RESIDUALS[:100] ** 2))], rtol=1e-4)


def test_leaves_a_saddle():
    """At a weight of 0 the gradient vanishes, whether or not it should grow."""
    gate = bl.gates.ExponentialFamily(dtype="float64")
    blend = bl.Blend({"squared": bl.losses.SquaredError(), "absolute": bl.losses.AbsoluteError()}, gate)
    gate.parameters.assign([0.0, 1.0])
    bl.fit_gate(blend, np.zeros_like(RESIDUALS), RESIDUALS)
    assert gate.weights_and_scale()[0][0] > 0.01  # normal residuals: 1 / 18


def test_some_of_the_variables_can_be_fitted_alone():
    blend = normal(learn_scale=True, scale=2.0, dtype="float64")
    bl.fit_gate(blend, np.zeros_like(RESIDUALS), RESIDUALS, variables=[blend.gate.parameters])
    weights, scale = blend.gate.weights_and_scale()
    assert float(scale) == 2
    np.testing.assert_allclose(weights, [4 / (2 * np.mean(RESIDUALS**2))], rtol=1e-5)


def test_a_fit_to_nan_moves_nothing_and_has_not_converged():
    blend = normal(dtype="float64")
    fit = bl.fit_gate(blend, np.zeros_like(RESIDUALS), np.full_like(RESIDUALS, np.nan))
    assert not bool(fit.converged)
    assert np.isnan(float(fit.value))
    np.testing.assert_array_equal(blend.gate.weights_and_scale()[0], [1.0])


def test_mistakes():
    fixed = bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0]))
    with pytest.raises(ValueError, match="there must be one that trains"):
        bl.fit_gate(fixed, RESIDUALS, RESIDUALS)
    with pytest.raises(TypeError, match="`blend` must be a Blend"):
        bl.fit_gate("mse", RESIDUALS, RESIDUALS)
    with pytest.raises(ValueError, match="must be variables of the blend"):
        bl.fit_gate(normal(), RESIDUALS, RESIDUALS, variables=[tf.Variable(1.0, name="stranger")])
    with pytest.raises(ValueError, match="must reduce to a scalar"):
        bl.fit_gate(
            bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.ExponentialFamily(), reduction="none"),
            RESIDUALS,
            RESIDUALS,
        )
    of_gradients = bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.GradNorm())
    with pytest.raises(ValueError, match="'grad_norm.* trains by the gradients of the losses"):
        bl.fit_gate(of_gradients, RESIDUALS, RESIDUALS)
    with pytest.raises(ValueError, match="`tolerance` must be positive"):
        bl.fit_gate(normal(), RESIDUALS, RESIDUALS, tolerance=0)


@pytest.fixture
def traces(monkeypatch):
    """A list that grows with each descent that is traced; no program is left from before."""
    made, descend = [], minimizer._descend

    def counted(*given):
        made.append(given)
        return descend(*given)

    monkeypatch.setattr(minimizer, "_programs", OrderedDict())
    monkeypatch.setattr(minimizer, "_descend", counted)
    return made


def test_blends_of_one_kind_share_a_program_and_nothing_else(traces):
    residuals = [RESIDUALS, 2 * RESIDUALS + 1]
    blends = [normal(dtype="float64", learn_scale=True, scale=2.0) for _ in residuals]
    for blend, given in zip(blends, residuals, strict=True):
        blend.gate.log_scale.assign(math.log(np.std(given)))
        bl.fit_gate(blend, np.zeros_like(given), given, variables=[blend.gate.parameters])
    assert len(traces) == 1
    for blend, given in zip(blends, residuals, strict=True):
        weights, scale = blend.gate.weights_and_scale()
        np.testing.assert_allclose(scale, np.std(given), rtol=1e-12)  # its own, which was not fitted
        np.testing.assert_allclose(weights, [np.var(given) / (2 * np.mean(given**2))], rtol=1e-5)
    continued = bl.fit_gate(blends[0], np.zeros_like(RESIDUALS), RESIDUALS, variables=[blends[0].gate.parameters])
    assert len(traces) == 1
    assert bool(continued.converged)


class MyError(bl.losses.SquaredError):
    """A loss whose configuration is not all that there is of it."""


@pytest.mark.parametrize(
    ("changed", "shared"),
    [
        ({}, True),
        ({"losses": {"squared": bl.losses.SquaredError(2.0)}}, False),
        ({"losses": {"other": bl.losses.SquaredError()}}, False),
        ({"losses": {"squared": MyError()}}, False),
        ({"losses": {"squared": lambda y_true, y_pred: (y_true - y_pred) ** 2}}, False),
        ({"gate": bl.gates.Learned(normalize="likelihood")}, False),
        ({"gate": bl.gates.Uncertainty(name="mine")}, True),
        ({"reduction": "sum"}, False),
        ({"mode": bl.modes.Annealed(2.0)}, False),
        ({"tolerance": 1e-3}, False),
        ({"residuals": RESIDUALS[:10]}, False),
        ({"residuals": RESIDUALS.astype("float32")}, False),
        ({"residuals": RESIDUALS.tolist()}, False),
        ({"frozen": True}, False),
    ],
    ids=[
        *("same", "parameter", "name-of-loss", "own-class", "function", "gate", "name-of-gate", "reduction", "mode"),
        *("tolerance", "shape", "dtype", "list", "frozen-variable"),
    ],
)
def test_what_a_kind_is(changed, shared, traces, monkeypatch):
    """Programs are looked up, not compiled."""
    looked_up = []

    def look_up(*given):
        looked_up.append(given)
        return Nothing

    monkeypatch.setattr(minimizer, "minimizer", look_up)

    def fit(losses=None, gate=None, mode=None, reduction="mean", residuals=RESIDUALS, tolerance=1e-6, frozen=False):
        gate = gate or bl.gates.Uncertainty()
        blend = bl.Blend(losses or {"squared": bl.losses.SquaredError()}, gate, mode, reduction=reduction)
        if frozen:
            blend.gate.variables[0].trainable = False
        minimizer.minimize(blend, blend.variables, (residuals, residuals, None, None), tolerance, 10)

    fit()
    fit(**changed)
    assert len(looked_up) == (1 if shared else 2)


class Nothing:
    """Stands for a program that moves nothing."""

    @staticmethod
    def get_concrete_function(*data):
        return lambda *data: ()


def test_the_oldest_programs_go(traces, monkeypatch):
    monkeypatch.setattr(minimizer, "_MOST", 2)
    monkeypatch.setattr(minimizer, "minimizer", lambda *given: Nothing)
    blend = normal()
    for number in (3, 4, 5):
        given = RESIDUALS[:number]
        minimizer.minimize(blend, blend.trainable_variables, (given, given, None, None), 1e-6, 10)
    assert len(minimizer._programs) == 2
