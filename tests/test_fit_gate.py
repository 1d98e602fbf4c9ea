"""Fitting a gate to given predictions."""

import math

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

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
