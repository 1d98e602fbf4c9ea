"""A blend that was saved is the blend that is loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.blend.instances import FROM_GRADIENTS, GATES, LOSSES, MODES, OF_VALUES, Y_PRED, Y_TRUE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gate", [*GATES, *OF_VALUES, *FROM_GRADIENTS])
def test_config_round_trip(gate, mode):
    blend = bl.Blend(LOSSES, {**GATES, **OF_VALUES, **FROM_GRADIENTS}[gate](), MODES[mode], reduction="sum")
    training = Needs.GRADIENTS not in blend.gate.needs
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert copy.get_config() == blend.get_config()
    values = [one(Y_TRUE, Y_PRED, step=3, training=training) for one in (copy, blend)]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.Huber(delta=2.0),
        keras.losses.CosineSimilarity(axis=0),
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    ],
    ids=lambda loss: loss.name,
)
def test_keras_losses_keep_their_arguments(loss):
    """Keras itself forgets the first two."""
    blend = bl.Blend({"loss": loss}, bl.gates.Fixed([1.0]))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert float(copy(Y_TRUE, Y_PRED)) == float(blend(Y_TRUE, Y_PRED))


@pytest.mark.parametrize("frozen", ["gate", "blend"])
def test_frozen_stays_frozen(frozen):
    blend = bl.Blend(LOSSES, bl.gates.Learned())
    (blend.gate if frozen == "gate" else blend).trainable = False
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert not copy.trainable_variables
    assert copy.trainable == blend.trainable


def test_names_alone_round_trip():
    copy = bl.Blend.from_config(bl.Blend(["pde", "bc"], bl.gates.Fixed([1.0, 2.0])).get_config())
    assert float(copy.combine({"pde": 1.0, "bc": 1.0})) == 3.0


def test_function_that_a_saved_model_could_not_find_raises():
    with pytest.raises(ValueError, match="register_keras_serializable"):
        bl.Blend({"mine": lambda y, p: p[:, 0]}, bl.gates.Fixed([1.0])).get_config()


def test_checkpoint_restores_the_gate(tmp_path):
    blend, copy = (bl.Blend(LOSSES, bl.gates.Learned()) for _ in range(2))
    blend.gate.logits.assign([1.0, 2.0, 3.0])
    path = tf.train.Checkpoint(blend=blend).save(str(tmp_path / "blend"))
    tf.train.Checkpoint(blend=copy).restore(path).assert_consumed()
    np.testing.assert_array_equal(copy.gate.logits, [1.0, 2.0, 3.0])
