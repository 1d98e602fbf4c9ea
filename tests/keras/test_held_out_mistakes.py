"""Mistakes with a held-out loss: missing data, gates that cannot train, wrong arguments."""

import keras
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.held_out import X, Y, blend_of, fit, model_of, network


def test_fit_without_data_raises():
    with pytest.raises(ValueError, match="pass `held_out_data="):
        fit(model_of(), held_out_data=None)


def test_train_on_batch_without_data_raises():
    with pytest.raises(ValueError, match="call `set_held_out_data`"):
        model_of().train_on_batch(X, Y)


def test_data_without_a_rule_raises():
    model = bl.BlendedModel(network(), blend_of())
    model.compile("adam")
    with pytest.raises(ValueError, match="need a rule"):
        fit(model)


def test_gate_without_variables_raises():
    with pytest.raises(ValueError, match="`held_out` needs something that trains in the gate"):
        bl.BlendedModel(network(), blend_of(gate=bl.gates.Fixed([1, 1, 1])), held_out=bl.keras.HeldOut("mae"))


def test_frozen_gate_loads_and_refuses_to_train(tmp_path):
    model = model_of()
    fit(model, epochs=1)
    model.blend.gate.trainable = False
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="`held_out` needs something that trains in the gate"):
        fit(model)


def test_gate_that_the_loss_ignores_raises():
    class Deaf(bl.gates.Learned):
        def gating(self, context):
            return tf.stop_gradient(tf.convert_to_tensor(self.logits))

    with pytest.raises(ValueError, match="Nothing that trains in the gate acts on the training loss"):
        fit(model_of(gate=Deaf()))


def test_target_that_ignores_the_network_raises():
    rule = bl.keras.HeldOut(lambda y_true, y_pred: tf.reduce_mean(y_true, axis=-1))
    with pytest.raises(ValueError, match="must depend on the network"):
        fit(model_of(rule=rule))


def test_own_loss_of_a_subclass_is_not_ignored():
    class Own(bl.BlendedModel):
        def compute_loss(self, *arguments, **named):
            return super().compute_loss(*arguments, **named) + 1

    with pytest.raises(TypeError, match="override `blended_loss`"):
        model_of(cls=Own)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"target": "no-such-loss"}, ValueError, "`target` must be the name"),
        ({"target": 3}, TypeError, "`target` must be a penalty"),
        ({"target": blend_of()}, TypeError, "not a blend"),
        ({"rate": 0.0}, ValueError, "`rate` must be positive"),
        ({"order": 0}, ValueError, "`order` must be one of"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
        ({"seed": 2**64}, ValueError, "`seed` must fit"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        bl.keras.HeldOut(**{"target": "mae", **arguments})


def test_rule_of_another_type():
    with pytest.raises(TypeError, match="`held_out` must be a HeldOut"):
        bl.BlendedModel(network(), blend_of(), held_out="mae")
