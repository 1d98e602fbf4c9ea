"""The mixture gate: its likelihood, its responsibilities, and what it finds in contaminated residuals."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import blendloss as bl
from blendloss.gates import Mixture
from tests.test_gradients import finite_differences

NORMALS = {"narrow": bl.losses.SquaredError(math.sqrt(2)), "broad": bl.losses.SquaredError(math.sqrt(2))}
SCALES = [1.0, 10.0]
RNG = np.random.default_rng(0)
RESIDUALS = RNG.normal(size=(60, 1)) * np.where(RNG.random((60, 1)) < 0.3, 10, 1)


def blend_of(losses=NORMALS, scales=SCALES, mode=None, reduction="mean", **named):
    return bl.Blend(losses, Mixture(scales, **{"dtype": "float64", **named}), mode, reduction=reduction)


def value_of(blend, residuals=RESIDUALS, **named):
    return blend(np.zeros_like(residuals), residuals, step=0, **named)


def log_density(r, proportions=(0.5, 0.5), scales=SCALES):
    parts = [np.log(p) + stats.norm.logpdf(r, scale=s) for p, s in zip(proportions, scales, strict=True)]
    return np.logaddexp(*parts)


# It is the mixture's likelihood


def test_value_is_minus_the_log_density():
    np.testing.assert_allclose(value_of(blend_of(reduction="none")), -log_density(RESIDUALS)[:, 0], rtol=1e-9)


@pytest.mark.parametrize("residual", [0.0, 1e-30, 38.0, 1e3, 1e18], ids=str)
def test_value_at_both_ends(residual):
    """Where one component underflows to 0, too."""
    found = value_of(blend_of(reduction="none"), np.array([[residual]]))
    np.testing.assert_allclose(found, -log_density(residual)[np.newaxis], rtol=1e-9)


@pytest.mark.parametrize("shape", [(60,), (60, 1), (20, 3), (5, 4, 3)], ids=str)
def test_each_element_chooses_by_itself(shape):
    residuals = RESIDUALS.reshape(shape)
    expected = -log_density(residuals)
    if len(shape) > 1:
        expected = expected.mean(axis=-1)
    np.testing.assert_allclose(value_of(blend_of(reduction="none"), residuals), expected, rtol=1e-9)


def test_responsibilities():
    gate = blend_of().gate
    found = gate.responsibilities(RESIDUALS)
    broad = 0.5 * stats.norm.pdf(RESIDUALS, scale=10) / np.exp(log_density(RESIDUALS))
    np.testing.assert_allclose(found[..., 1], broad, rtol=0, atol=1e-12)
    np.testing.assert_allclose(tf.reduce_sum(found, axis=-1), np.ones_like(RESIDUALS), rtol=1e-12)


def test_the_output_has_the_mean_responsibilities():
    blend = blend_of()
    weights = blend.compute(np.zeros_like(RESIDUALS), RESIDUALS, step=0).weights
    np.testing.assert_allclose(weights, blend.gate.responsibilities(RESIDUALS).numpy().mean(axis=(0, 1)), rtol=1e-12)


@pytest.mark.parametrize("mode", [bl.modes.Hard(), bl.modes.Annealed(0.3), bl.modes.Annealed(20.0)], ids=repr)
def test_other_modes_give_a_bound_from_above(mode):
    bound = value_of(blend_of(mode=mode, reduction="none")).numpy()
    assert (bound >= -log_density(RESIDUALS)[:, 0] - 1e-12).all()


def test_hard_is_classification_em():
    parts = np.stack([math.log(0.5) + stats.norm.logpdf(RESIDUALS[:, 0], scale=s) for s in SCALES])
    found = value_of(blend_of(mode=bl.modes.Hard(), reduction="none"))
    np.testing.assert_allclose(found, -parts.max(axis=0), rtol=1e-9)


def test_one_component_is_its_law():
    found = value_of(blend_of({"one": NORMALS["narrow"]}, [2.0]))
    np.testing.assert_allclose(found, -stats.norm.logpdf(RESIDUALS, scale=2).mean(), rtol=1e-9)


def test_empty_batch_is_0():
    assert float(value_of(blend_of(), np.zeros([0, 1]))) == 0


# Derivatives


@pytest.mark.parametrize(
    "mode",
    [bl.modes.Soft(), bl.modes.Soft(bl.modes.entmax15), bl.modes.Annealed(0.6)],
    ids=["soft", "entmax", "annealed"],
)
def test_gradients_against_finite_differences(mode):
    losses = {"narrow": bl.losses.Huber(1.5), "broad": bl.losses.Cauchy(2.0), "wide": bl.losses.AbsoluteError(3.0)}
    blend = blend_of(losses, [1.0, 2.0, 1.5], mode)
    variables = [*(variable.value for variable in blend.trainable_variables), tf.Variable(RESIDUALS[:6])]
    at = [np.array(variable) for variable in variables]

    def value(place, given):
        for variable, original in zip(variables, at, strict=True):
            variable.assign(original)
        variables[place].assign(given)
        return float(value_of(blend, variables[-1].numpy()))

    expected = [finite_differences(lambda given, i=i: value(i, given), at[i]) for i in range(3)]
    value(0, at[0])
    with tf.GradientTape() as tape:
        total = blend(tf.zeros_like(variables[-1]), variables[-1], step=0)
    for found, wanted in zip(tape.gradient(total, variables), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_curvature_is_the_mixtures():
    """The responsibilities are not held fixed: the Hessian is that of -log sum pi_k p_k."""

    def curvature(value_at):
        residuals = tf.constant(RESIDUALS)
        with tf.GradientTape() as outer:
            outer.watch(residuals)
            with tf.GradientTape() as inner:
                inner.watch(residuals)
                value = value_at(residuals)
            slope = tf.reduce_sum(inner.gradient(value, residuals))
        return outer.gradient(slope, residuals).numpy()

    def by_hand(r):
        parts = [-((r / s) ** 2) / 2 - math.log(2 * s * math.sqrt(2 * math.pi)) for s in SCALES]
        return -tf.reduce_mean(tf.reduce_logsumexp(tf.stack(parts), axis=0))

    blend = blend_of()
    found = curvature(lambda r: blend(tf.zeros_like(r), r, step=0))
    np.testing.assert_allclose(found, curvature(by_hand), rtol=0, atol=1e-14)


def test_every_regime_gives_the_same():
    blend = bl.Blend(NORMALS, Mixture(SCALES))
    residuals = tf.constant(RESIDUALS, tf.float32)

    def step(residual):
        with tf.GradientTape() as tape:
            tape.watch(residual)
            value = blend(tf.zeros_like(residual), residual, step=0)
        return [value, *tape.gradient(value, [residual, *(v.value for v in blend.trainable_variables)])]

    expected = step(residuals)
    signature = [tf.TensorSpec([None, 1])]
    for function in (tf.function(step, input_signature=signature), tf.function(step, signature, jit_compile=True)):
        for found, wanted in zip(function(residuals), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=3e-6, atol=1e-6)


# It finds contamination


def test_recovers_share_and_both_scales():
    random = np.random.default_rng(5)
    n, share = 20_000, 0.1
    residuals = (random.normal(size=n) * np.where(random.random(n) < share, 10, 1))[:, np.newaxis]
    blend = blend_of(scales=[0.7, 4.0])
    bl.fit_gate(blend, np.zeros_like(residuals), residuals)
    (_, broad), scales = (values.numpy() for values in blend.gate.proportions_and_scales())
    # Standard errors where each residual's component is known: sqrt(share (1 - share) / n) and c / sqrt(2 n_k). Overlap
    # (a fifth of the broad component lies within the narrow one) adds a third to them; 5 of these.
    assert abs(broad - share) < 5 * 1.34 * math.sqrt(share * (1 - share) / n)
    assert abs(scales[0] - 1) < 5 * 1.34 / math.sqrt(2 * 0.9 * n)
    assert abs(scales[1] - 10) < 5 * 1.34 * 10 / math.sqrt(2 * share * n)
    low, high = blend.gate.interval(np.zeros(1), 0.9)
    fresh = random.normal(size=n) * np.where(random.random(n) < share, 10, 1)
    assert abs(np.mean((low <= fresh) & (fresh <= high)) - 0.9) < 4 * math.sqrt(2 * 0.9 * 0.1 / n)


def test_trained_in_fit_with_a_network():
    random = np.random.default_rng(6)
    x = random.normal(size=(4000, 1)).astype("float32")
    noise = random.normal(size=(4000, 1)) * np.where(random.random((4000, 1)) < 0.2, 8, 0.5)
    blend = bl.Blend(NORMALS, Mixture([1.0, 4.0]))
    model = bl.BlendedModel(keras.Sequential([keras.Input([1]), keras.layers.Dense(1)]), blend)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=True)
    history = model.fit(x, (3 * x + noise).astype("float32"), batch_size=500, epochs=60, verbose=0).history
    np.testing.assert_allclose(model.network.get_weights()[0], [[3]], atol=0.05)  # 5 x 0.5 / sqrt(0.8 x 4000)
    (_, broad), scales = (values.numpy() for values in blend.gate.proportions_and_scales())
    np.testing.assert_allclose(broad, 0.2, atol=0.05)
    np.testing.assert_allclose(scales, [0.5, 8], rtol=0.15)
    np.testing.assert_allclose(history["gate/broad"][-1], broad, atol=0.05)


# Mistakes


@pytest.mark.parametrize(
    ("narrow", "broad", "scales"),
    [
        (bl.losses.SquaredError(), bl.losses.SquaredError(), None),
        (bl.losses.SquaredError(2.0), bl.losses.SquaredError(1.0), [1.0, 2.0]),
        (bl.losses.Quantile(0.5), bl.losses.AbsoluteError(2.0), None),
    ],
)
def test_components_that_start_as_one_law_are_refused(narrow, broad, scales):
    with pytest.raises(ValueError, match="must start from different laws.*'narrow' and 'broad' alike"):
        blend_of({"narrow": narrow, "broad": broad}, scales)


@pytest.mark.parametrize("loss", [bl.losses.Welsch(), bl.losses.Cauchy()], ids=repr)
def test_penalties_that_are_no_law_are_refused(loss):
    with pytest.raises(ValueError, match="`narrow` must have a finite integral"):
        blend_of({"narrow": loss, "broad": NORMALS["broad"]})


def test_scales_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`scales` must have one scale for each of the 2 losses"):
        blend_of(scales=[1.0, 2.0, 3.0])


def test_scales_may_be_held():
    blend = blend_of(learn_scales=False)
    assert [variable.name for variable in blend.trainable_variables] == ["proportion_logits"]
