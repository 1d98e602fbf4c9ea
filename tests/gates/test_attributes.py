"""Attributes of gates: declared in the constructor, set on attachment, and left alone by whatever only looks."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.blend.instances import FROM_GRADIENTS, GATES, LOSSES, OF_VALUES, Y_PRED, Y_TRUE
from tests.gates.instances import chooser

MAKES = {
    **GATES,
    **OF_VALUES,
    **FROM_GRADIENTS,
    "exponential-family": lambda: bl.gates.ExponentialFamily(learn_scale=True),
    "mixture": lambda: bl.gates.Mixture([1.0, 2.0, 3.0]),
    "network": lambda: bl.gates.Network(chooser(3)),
    "learned-likelihood": lambda: bl.gates.Learned(normalize="likelihood"),
    "normalized-rms": lambda: bl.gates.Normalized("rms"),
    "dwa-sliding": lambda: bl.gates.DWA(2, sliding=True),
    "smooth-tchebycheff-averaging": lambda: bl.gates.SmoothTchebycheff(1.0, averaging=2),
}
PENALTIES = {"a": bl.losses.SquaredError(), "b": bl.losses.AbsoluteError(), "c": bl.losses.Huber(0.5)}
every_gate = pytest.mark.parametrize("name", MAKES)
#: What only looks, and takes no argument.
GETTERS = ("report", "efficiencies", "policy", "posterior", "prior", "sigmas", "law", "weights_and_scale")


def attributes(layer):
    """The layer's own attributes, without those of every Keras layer."""
    own = set(vars(layer)) - set(vars(keras.Layer()))
    return {name: vars(layer)[name] for name in own if not name.startswith("_self_")}


def held(gate):
    """The gate, and the normalizer that it holds."""
    return [one for one in (gate, getattr(gate, "normalize", None)) if isinstance(one, keras.Layer)]


def blend_of(gate):
    looks = gate.elementwise or Needs.PENALTIES in gate.needs
    return bl.Blend(PENALTIES if looks else LOSSES, gate)


def computed(blend, training):
    features = tf.ones([len(Y_TRUE), 2]) if Needs.FEATURES in blend.gate.needs else None
    return blend.compute(Y_TRUE, Y_PRED, step=1, training=training, features=features)


@every_gate
def test_attributes_are_declared_in_the_constructor(name):
    gate = MAKES[name]()
    before = [set(attributes(one)) for one in held(gate)]
    blend = blend_of(gate)
    if Needs.GRADIENTS not in gate.needs:
        computed(blend, training=True)
    assert [set(attributes(one)) for one in held(gate)] == before


@every_gate
def test_evaluation_and_getters_assign_nothing(name):
    gate = MAKES[name]()
    blend = blend_of(gate)
    if Needs.GRADIENTS not in gate.needs:
        computed(blend, training=True)
    before = [attributes(one) for one in held(gate)]
    state = [np.array(variable) for variable in gate.variables]
    output = computed(blend, training=False)
    blend.diagnose(output)
    gate.batch_independent_gating(1)
    for getter in GETTERS:
        if callable(inspect.getattr_static(type(gate), getter, None)):
            getattr(gate, getter)()
    for one, kept in zip(held(gate), before, strict=True):
        after = attributes(one)
        assert {attribute for attribute in after if after[attribute] is not kept.get(attribute)} == set()
    for variable, value in zip(gate.variables, state, strict=True):
        np.testing.assert_array_equal(variable, value)


@every_gate
def test_a_gate_with_state_says_that_it_has_no_blend(name):
    gate = MAKES[name]()
    if isinstance(gate, bl.gates.Network):  # whose variables are its network's
        return
    attached = MAKES[name]()
    blend_of(attached)
    context = bl.gates.Context(tf.constant(1, tf.int64), False, values=tf.ones([3]), residual=tf.ones([4]))
    if attached.variables:
        with pytest.raises(ValueError, match="belongs to no blend yet"):
            gate.gating(context)
