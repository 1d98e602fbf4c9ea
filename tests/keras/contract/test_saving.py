"""Weights, saving, exporting and attributes, as in Keras."""

import re

import keras
import numpy as np
import tensorflow as tf

from tests.keras.contract.rows import X, both, checks_of_rows, fitted, of_keras, pair

row, test_row = checks_of_rows()


@row("freezing")
def _():
    models = pair()
    for model in models:
        inner = getattr(model, "network", model)
        inner.get_layer("lower").trainable = False
        model.compile("adam", metrics=["mae"], **({} if inner is not model else {"loss": "mse"}))
    before = models[1].network.get_layer("lower").get_weights()
    both(fitted(), models=models)
    np.testing.assert_array_equal(models[1].network.get_layer("lower").get_weights()[0], before[0])


@row("names-of-weights")
def _():
    plain, blended = pair()
    paths = [[v.path.split("/")[1:] for v in model.weights] for model in (blended.network, plain)]
    assert paths[0] == paths[1]
    assert [v.name for v in blended.trainable_variables] == [v.name for v in plain.trainable_variables]
    assert {v.name for v in blended.weights} == {v.name for v in plain.weights} | {"logged_at", "step"}
    assert blended.count_params() == plain.count_params() + 2


@row("summary")
def _():
    lines: list[str] = []
    pair()[1].summary(print_fn=lines.append)
    assert re.search(r"sequential\S* \(Sequential\).*\(None, 1\).*21", "\n".join(lines))


@row("saving")
def _():
    def action(model):
        fitted()(model)
        model.save("model.keras")
        model.save_weights("model.weights.h5")
        loaded = keras.models.load_model("model.keras")
        model.load_weights("model.weights.h5")
        return [loaded.predict(X, verbose=0), of_keras(fitted()(loaded)), int(loaded.optimizer.iterations)]

    both(action)


@row("export")
def _():
    def action(model):
        model.export("exported", verbose=False)
        tf.saved_model.save(model, "saved")
        exported, saved = tf.saved_model.load("exported"), tf.saved_model.load("saved")
        return [exported.serve(X), *saved.signatures["serving_default"](tf.constant(X)).values()]

    both(action)


@row("attributes")
def _():
    plain, blended = pair()
    assert blended.input_shape == plain.input_shape
    assert blended.output_shape == plain.output_shape
    assert [tensor.shape for tensor in blended.inputs] == [tensor.shape for tensor in plain.inputs]
    assert not hasattr(plain, "output_names")
    assert not hasattr(blended, "output_names")
