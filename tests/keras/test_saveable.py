"""What saves the whole model after an epoch says before the first that it could not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

X, Y = np.ones((4, 1), "float32"), np.zeros((4, 1), "float32")


def model_of(loss):
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), bl.Blend({"a": loss}, bl.gates.Fixed([1.0])))
    model.compile("sgd")
    return model


@pytest.mark.parametrize("listed", [list, keras.callbacks.CallbackList, lambda callbacks: callbacks[0]])
def test_a_loss_without_a_name_is_refused_before_training(tmp_path, listed):
    model = model_of(lambda y, p: tf.reduce_mean(tf.abs(y - p), -1))
    before = [keras.ops.copy(weight) for weight in model.weights]
    with pytest.raises(
        ValueError, match="`callbacks` must not save the whole model .*save_weights_only=True.*Received"
    ):
        model.fit(X, Y, verbose=0, callbacks=listed([keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")]))
    assert all((now == old).numpy().all() for now, old in zip(model.weights, before, strict=False))


@pytest.mark.parametrize(
    ("loss", "named"), [(lambda y, p: tf.reduce_mean(tf.abs(y - p), -1), "model.weights.h5"), ("mae", "model.keras")]
)
def test_models_of_saveable_losses_are_checkpointed(tmp_path, loss, named):
    saver = keras.callbacks.ModelCheckpoint(tmp_path / named, save_weights_only=named.endswith(".h5"))
    model_of(loss).fit(X, Y, verbose=0, callbacks=[saver])
    assert (tmp_path / named).exists()
