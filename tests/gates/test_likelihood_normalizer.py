"""`normalizers.Likelihood`: its value, its scales, their gradients, and the law it chooses."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Learned, normalizers
from tests.gates.normalized import EPS, LOGITS, LOSSES, RESIDUALS, SHARES, blend_of, compute, fitted, sizes

LAWS = {  # penalty, -log of its density at scale c
    "normal": (bl.losses.SquaredError(), lambda r, c: (r / c) ** 2 + np.log(c * np.sqrt(np.pi))),
    "laplace": (bl.losses.AbsoluteError(), lambda r, c: np.abs(r / c) + np.log(2 * c)),
    "cauchy": (bl.losses.Cauchy(2**0.5), lambda r, c: np.log1p((r / c) ** 2 / 2) + np.log(np.pi * np.sqrt(2) * c)),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none", "mean_with_sample_weight"])
def test_likelihood_is_the_mean_of_negative_log_densities(reduction, weighted):
    scales, logits = [0.5, 2.0, 1.5], [0.4, -0.3, 0.1]
    shares = np.exp(logits) / np.exp(logits).sum()
    gate = Learned(logits, normalize=normalizers.Likelihood(scales), dtype="float64")
    blend = bl.Blend({name: penalty for name, (penalty, _) in LAWS.items()}, gate, reduction=reduction)
    residual = np.random.default_rng(1).normal(size=(6, 2))
    weight = np.arange(1.0, 7.0) if weighted else np.ones(6)
    value = compute(blend, residual, sample_weight=weight if weighted else None).value
    densities = [f(residual, c) for (_, f), c in zip(LAWS.values(), scales, strict=True)]
    by_example = (shares @ np.reshape(densities, [3, -1])).reshape(6, 2).mean(axis=1) * weight
    expected = {
        "none": by_example,
        "sum": by_example.sum(),
        "sum_over_batch_size": by_example.mean(),
        "mean_with_sample_weight": by_example.sum() / weight.sum(),
    }[reduction]
    np.testing.assert_allclose(value, expected, rtol=1e-10)  # log Z is a quadrature, good to 1e-11


def test_likelihood_bounds_the_mixtures_from_above():
    residual = np.random.default_rng(1).standard_cauchy(size=(50, 1))
    gate = Learned(LOGITS, normalize=normalizers.Likelihood([0.5, 2.0]), dtype="float64")
    value = float(compute(bl.Blend(LOSSES, gate), residual).value)
    densities = np.exp([-LAWS["normal"][1](residual, 0.5), -LAWS["laplace"][1](residual, 2.0)])[..., 0]
    assert value >= -np.log(SHARES @ densities).mean()


def test_likelihood_takes_its_unit_from_the_first_step():
    blend = blend_of("likelihood")
    assert float(compute(blend, RESIDUALS[1], training=False).value) == float(
        compute(blend_of(normalizers.Likelihood(1.0)), RESIDUALS[1]).value
    )
    for residual in RESIDUALS:
        compute(blend, residual)
    np.testing.assert_allclose(blend.gate.normalize.unit, np.abs(RESIDUALS[0]).mean(), rtol=8 * EPS)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_with_the_likelihood_no_unit_of_the_residuals_matters(factor):
    """The same training, value for value, but for the constant log(factor)."""
    values = []
    for unit in (1.0, factor):
        blend, optimizer = blend_of("likelihood", dtype="float64"), keras.optimizers.SGD(0.1)
        optimizer.build(blend.trainable_variables)
        for residual in np.array(RESIDUALS, np.float64):
            with tf.GradientTape() as tape:
                value = compute(blend, unit * residual).value
            gradients = tape.gradient(value, [variable.value for variable in blend.trainable_variables])
            optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))
        values.append([float(value), *blend.gate.logits.numpy(), *blend.gate.normalize.log_scales.numpy()])
    # Keras's learning rate is float32, the same in both.
    np.testing.assert_allclose(np.subtract(values[1], values[0]), [math.log(factor), 0, 0, 0, 0], rtol=0, atol=1e-12)


# Scales


@pytest.mark.parametrize("mode", [bl.modes.Soft(bl.modes.sparsemax), bl.modes.Hard()], ids=["sparsemax", "hard"])
def test_a_scale_learns_where_its_share_is_zero(mode):
    blend = blend_of(normalizers.Likelihood(1.0), [9.0, 0.0], mode=mode, dtype="float64")
    residual = np.float64(RESIDUALS[0])
    with tf.GradientTape() as tape:
        output = compute(blend, residual)
    gradient = tape.gradient(output.value, blend.gate.normalize.log_scales.value)
    np.testing.assert_array_equal(output.weights, [1, 0])
    # d/d log c of mean (r/c)^2 + log c, and of mean |r/c| + log c, at c = 1.
    np.testing.assert_allclose(gradient, [1 - 2 * np.mean(residual**2), 1 - np.abs(residual).mean()], rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_with_sample_weight"])
def test_each_scale_follows_its_own_likelihood_with_sample_weights(reduction):
    r, w = np.array([[0.1], [5.0], [-0.7]]), np.array([1.0, 0.1, 3.0])
    normalize = bl.gates.normalizers.Likelihood(scale=1.0)
    gate = bl.gates.Learned([2.0, -1.0], normalize=normalize, dtype="float64")
    losses = {"squared": bl.losses.SquaredError(), "absolute": bl.losses.AbsoluteError()}
    blend = bl.Blend(losses, gate, reduction=reduction)
    with tf.GradientTape() as tape:
        value = blend(np.zeros_like(r), r, w, step=0)
    # d (r^2 / c^2 + log c) / d log c = 1 - 2 r^2, and 1 - |r|, at c = 1: of each example, whatever the shares.
    slopes = (w[:, np.newaxis] * np.concatenate([1 - 2 * r**2, 1 - np.abs(r)], axis=1)).sum(axis=0)
    number = {"mean": len(w), "sum": 1.0, "mean_with_sample_weight": w.sum()}[reduction]
    # Sums of three in float64.
    np.testing.assert_allclose(tape.gradient(value, gate.normalize.log_scales.value), slopes / number, rtol=1e-14)


def test_scales_come_to_the_maximum_likelihood_of_what_counts():
    residual = np.r_[np.random.default_rng(0).normal(size=30), np.full(10, 1e6)].reshape(-1, 1)
    blend, optimizer = blend_of("likelihood", [3.0, 0.0], dtype="float64"), keras.optimizers.Adam(0.05)
    scales = blend.gate.normalize.log_scales
    optimizer.build([scales])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = compute(blend, residual, sample_weight=np.r_[np.ones(30), np.zeros(10)]).value
        optimizer.apply_gradients([(tape.gradient(value, scales.value), scales)])

    for _ in range(200):
        step()
    kept = residual[:30]
    # c^2 = 2 mean r^2 and c = mean |r|: within the 1e-4 that Adam leaves.
    expected = [np.sqrt(2 * np.mean(kept**2)), np.abs(kept).mean()]
    np.testing.assert_allclose(blend.gate.batch_independent_gating().scale, expected, rtol=1e-3)


def test_residuals_of_zero_and_infinity_leave_the_scales_finite():
    for bad in (0.0, math.inf, math.nan):
        blend = blend_of("likelihood")
        with tf.GradientTape() as tape:
            value = compute(blend, [[bad], [0.0]]).value
        gradient = tape.gradient(value, blend.gate.normalize.log_scales.value)
        assert float(blend.gate.normalize.unit) == 0
        assert np.isfinite(gradient).all() == (bad == 0)  # an infinite loss cannot hide


def test_scales_that_are_frozen_stay_frozen_in_a_copy():
    gate = Learned(normalize="likelihood")
    gate.normalize.trainable = False
    for blend in (bl.Blend(LOSSES, gate), bl.Blend(LOSSES, gate).fresh()):
        assert [variable.name for variable in blend.trainable_variables] == ["logits"]


# The choice


@pytest.mark.parametrize("unit", [0.05, 20.0])
@pytest.mark.parametrize(("law", "right"), [("normal", 0), ("laplace", 1)])
def test_the_likelihood_chooses_the_law_and_naive_weights_the_least_loss(law, right, unit):
    residual = unit * getattr(np.random.default_rng(0), law)(size=(4000, 1))
    shares, gate = fitted(residual, "likelihood")
    # The laws differ by 0.05 to 0.07 nats, seven standard errors of the mean of 4,000.
    assert shares[right] > 0.95
    # The maximum-likelihood scales, to the 1e-3 that Adam leaves.
    scales = [np.sqrt(2 * np.mean(residual**2)), np.abs(residual).mean()]
    np.testing.assert_allclose(gate.batch_independent_gating().scale, scales, rtol=1e-2)
    smallest = int(np.argmin(sizes(residual)))
    naive, _ = fitted(residual, None)
    assert naive[smallest] > 0.95
    assert smallest == (0 if unit < 1 else 1)  # whatever the law


# Arguments


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: normalizers.Likelihood(0.0), ValueError, "`scale` must be positive"),
        (lambda: normalizers.Likelihood([1.0, -1.0]), ValueError, r"`scale\[1\]` must be positive"),
        (lambda: normalizers.Likelihood("wide"), TypeError, "`scale` must be a real number"),
        (lambda: blend_of(normalizers.Likelihood([1.0])), ValueError, "`scale` must have one number for each"),
        (lambda: blend_of("likelihood", losses={"mse": "mse"}), TypeError, "every loss must be a penalty"),
        (
            lambda: blend_of("likelihood", losses={"tukey": bl.losses.Tukey(4.0)}),
            ValueError,
            "of `tukey` must have a finite integral",
        ),
        (
            lambda: blend_of("likelihood", losses={"cauchy": bl.losses.Cauchy(1.0)}),
            ValueError,
            "of `cauchy` must have a finite integral",
        ),
        (lambda: bl.Blend(["a"], Learned(normalize="likelihood")), ValueError, "needs residuals"),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=f"{message}.*Received"):
        make()
