"""The variables of normalizers: which there are, what changes them, who owns them, and how they are saved."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Learned, normalizers, regularizers
from tests.gates.normalized import LOGITS, LOSSES, NORMALIZERS, RESIDUALS, blend_of, compute, every_normalizer, state_of


@every_normalizer
def test_variables_and_what_changes_them(name):
    blend = blend_of(NORMALIZERS[name](), LOGITS)
    trained, kept = {
        "initial": (["logits"], ["first_values"]),
        "running": (["logits"], ["means", "seen", "skipped"]),
        "rms": (["logits"], ["means", "seen", "skipped"]),
        "likelihood": (["logits", "log_scales"], ["unit"]),
        "likelihood-scale": (["logits", "log_scales"], []),
    }[name]
    assert [variable.name for variable in blend.trainable_variables] == trained
    assert [variable.name for variable in blend.non_trainable_variables] == kept
    assert blend.gate.stateful == bool(kept)
    before = state_of(blend)
    compute(blend, RESIDUALS[0], training=False)
    np.testing.assert_equal(state_of(blend), before)
    compute(blend, RESIDUALS[0])
    after = state_of(blend)
    assert any((after[one] != before[one]).any() for one in before) == bool(kept)
    for one in trained:
        np.testing.assert_array_equal(after[one], before[one])


@every_normalizer
def test_configuration_and_state_come_back(name):
    blend = blend_of(NORMALIZERS[name](), LOGITS, regularize=[regularizers.KL([0.3, 0.7], 0.1)])
    for residual in RESIDUALS[:3]:
        compute(blend, residual)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert again.get_config() == blend.get_config()
    assert again.gate.normalize is not blend.gate.normalize
    for source, target in zip(blend.gate.variables, again.gate.variables, strict=True):
        target.assign(source)
    for residual in RESIDUALS[3:6]:
        for a, b in zip(compute(again, residual), compute(blend, residual), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_equal(state_of(again), state_of(blend))


def test_names_are_short_for_default_objects():
    for name, made in {
        "initial": normalizers.InitialValue(),
        "running": normalizers.RunningMean(),
        "rms": normalizers.RootMeanSquare(),
        "likelihood": normalizers.Likelihood(),
    }.items():
        found = Learned(normalize=name).normalize
        assert (type(found), found.get_config()) == (type(made), made.get_config())
    assert Learned().normalize is None


@every_normalizer
def test_the_normalizer_owns_its_state(name):
    """A layer that the gate holds: its variables are the gate's, and have its dtype."""
    blend = blend_of(NORMALIZERS[name](), dtype="float64")
    own = blend.gate.normalize.variables
    assert {id(one) for one in blend.gate.variables} == {id(one) for one in [blend.gate.logits, *own]}
    assert all(variable.dtype in ("float64", "int64") for variable in own)
    assert all(variable.path.startswith(f"{blend.gate.name}/{blend.gate.normalize.name}/") for variable in own)


@every_normalizer
def test_a_normalizer_belongs_to_one_gate(name):
    normalizer = NORMALIZERS[name]()
    first = blend_of(normalizer)
    with pytest.raises(ValueError, match=r"give each gate a normalizer of its own.*Received: .* of the gate '.*' in"):
        blend_of(normalizer)
    bl.Blend(LOSSES, first.gate)  # blends of the same losses may share the gate, and so its normalizer
    again = type(normalizer).from_config(normalizer.get_config())
    assert not {id(one) for one in blend_of(again).variables} & {id(one) for one in first.variables}


def test_a_normalizer_that_does_not_fit_one_blend_may_fit_another():
    normalizer = normalizers.Likelihood([1.0, 2.0])
    with pytest.raises(ValueError, match="`scale` must have one number for each"):
        blend_of(normalizer, losses={"mae": LOSSES["mae"]})
    assert [variable.name for variable in blend_of(normalizer).gate.normalize.variables] == ["log_scales"]


@every_normalizer
def test_a_normalizer_without_a_blend_raises(name):
    with pytest.raises(ValueError, match="belongs to no blend yet"):
        NORMALIZERS[name]().gating(tf.zeros([2]), bl.gates.Context(step=0, training=False))
