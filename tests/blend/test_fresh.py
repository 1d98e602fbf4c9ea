"""A fresh blend is the blend as it was before it saw any data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.blend.instances import FROM_GRADIENTS, GATES, LOSSES, MODES, OF_VALUES, Y_PRED, Y_TRUE, PerExample
from tests.gates.instances import chooser

ALL = {**GATES, **OF_VALUES, **FROM_GRADIENTS, "network": lambda: bl.gates.Network(chooser(3))}


def used(blend):
    """`blend`, whose variables have all moved; and what they were."""
    before = [variable.numpy() for variable in blend.variables]
    for variable in blend.variables:
        variable.assign(variable + 1)
    return before


@pytest.mark.parametrize("gate", ALL)
def test_a_fresh_blend_starts_where_the_first_did(gate):
    blend = bl.Blend(LOSSES, ALL[gate](), MODES["annealed"], reduction="sum")
    before = used(blend)
    fresh = blend.fresh()
    assert type(fresh.gate) is type(blend.gate)
    assert fresh.mode is blend.mode
    assert fresh.name == blend.name
    assert str(fresh.get_config()) == str(blend.get_config())  # networks come back with tuples for lists
    assert not {id(variable) for variable in fresh.variables} & {id(variable) for variable in blend.variables}
    for variable, value in zip(fresh.variables, before, strict=True):
        if "seed_generator" not in variable.path:
            np.testing.assert_array_equal(variable, value)
    fresh.set_weights(blend.get_weights())  # to go on where the first is
    for one, other in zip(fresh.get_weights(), blend.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("frozen", ["gate", "blend"])
def test_frozen_stays_frozen(frozen):
    blend = bl.Blend(LOSSES, bl.gates.Learned())
    (blend.gate if frozen == "gate" else blend).trainable = False
    assert not blend.fresh().trainable_variables
    assert blend.fresh().trainable == blend.trainable


def test_losses_that_cannot_be_saved_are_shared():
    blend = bl.Blend({"mine": lambda y, p: tf.abs(y - p)[:, 0], "mse": "mse"}, bl.gates.Learned([0.0, 1.0]))
    expected = float(blend(Y_TRUE, Y_PRED, step=0))
    used(blend)
    assert float(blend.fresh()(Y_TRUE, Y_PRED, step=0)) == expected
    names_alone = bl.Blend(["pde", "bc"], bl.gates.Learned())
    used(names_alone)
    np.testing.assert_array_equal(names_alone.fresh().gate.logits, [0, 0])


@pytest.mark.parametrize("by_output", [False, True], ids=["alone", "in-an-output-loss"])
def test_losses_that_train_start_anew(by_output):
    loss = bl.losses.AdaptiveBarron(initial_alpha=1.5)
    blend = bl.Blend({"a": bl.losses.OutputLoss("y", loss) if by_output else loss}, bl.gates.Fixed([1.0]))
    before = used(blend)
    fresh = blend.fresh()
    assert [float(variable) for variable in fresh.variables] == [float(value) for value in before]
    assert [float(variable) for variable in blend.variables] == [float(value) + 1 for value in before]


def test_a_schedule_that_cannot_be_saved_is_shared():
    blend = bl.Blend(LOSSES, bl.gates.Scheduled(lambda step: tf.cast(step, tf.float32) / 100))
    assert float(blend.fresh()(Y_TRUE, Y_PRED, step=50)) == float(blend(Y_TRUE, Y_PRED, step=50))


class Unsaved(PerExample):
    """A gate with a variable, whose configuration lacks an argument."""

    def create_state(self, k):
        self.kept = self.add_state("kept")

    def get_config(self):
        return bl.gates.Gate.get_config(self)


def test_a_gate_that_from_config_cannot_make_is_named():
    with pytest.raises(ValueError, match=r"made afresh by `from_config.*missing 1 required.*Received: gate="):
        bl.Blend(LOSSES, Unsaved([0.0] * 3)).fresh()


class Holder(keras.Layer):
    def __init__(self, variable):
        super().__init__()
        self.kept = variable


class Borrowed(PerExample):
    """A gate whose configuration holds the variable itself."""

    def __init__(self, logits, holder, **named):
        super().__init__(logits, **named)
        self.holder = holder

    def get_config(self):
        return {**super().get_config(), "holder": self.holder}


def test_a_gate_that_holds_outside_variables_is_refused():
    with pytest.raises(ValueError, match=r"cannot be made afresh.*Received: the variables"):
        bl.Blend(LOSSES, Borrowed([0.0] * 3, Holder(keras.Variable(1.0)))).fresh()
