"""The user's own training rules, as in Keras. The details are in tests/keras/test_step_count.py."""

from typing import Any

import keras
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.contract.rows import X, Y, both, checks_of_rows, fitted, of_keras, pair

row, test_row = checks_of_rows()

_Mixin: Any = object  # what it calls is in the class beside it


class Steps(_Mixin):
    """Rules of the user's own, for a plain model and for a BlendedModel."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)

    def test_step(self, data):
        return {**super().test_step(data), "own": tf.constant(1.0)}

    def predict_step(self, data):
        return super().predict_step(data) + 7

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {**super().compute_metrics(x, y, y_pred, sample_weight), "more": tf.constant(2.0)}


def overriding(*names):
    """A plain model and a BlendedModel with some of the rules of `Steps`."""
    rules = {name: getattr(Steps, name) for name in names}

    def filled(base):
        # `super()` in a rule looks from `Steps` on.
        return type("Own", (type("Rules", (Steps,), {n: getattr(base, n) for n in RULES if n not in names}), base), {})

    def wrapped(net):
        return filled(keras.Model)(net.inputs, net.outputs)

    assert set(rules) <= set(RULES)
    return pair(kind=filled(bl.BlendedModel), base=wrapped)


RULES = ("train_step", "compute_loss", "test_step", "predict_step", "compute_metrics")


@row("train-step")
def _():
    _, blended = both(fitted(validation_data=(X, Y)), models=overriding("train_step"))
    assert int(blended.step) == 8


@row("compute-loss")
def _():
    _, blended = both(fitted(validation_data=(X, Y)), models=overriding("compute_loss"))
    both(fitted(), models=overriding("compute_loss", "train_step"))
    assert int(blended.step) == 8


@row("other-steps")
def _():
    models = overriding("test_step", "predict_step", "compute_metrics")
    both(lambda model: [of_keras(fitted(validation_data=(X, Y))(model)), model.predict(X, verbose=0)], models=models)


@row("rules-of-the-network")
def _():
    class Sevens(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

        def predict_step(self, data):
            return super().predict_step(data) * 0 + 7

    both(lambda model: [of_keras(fitted()(model)), model.predict(X, verbose=0)], net=Sevens)
    for rule in ("train_step", "test_step", "compute_loss", "compute_metrics"):
        own = type("Own", (Sevens,), {rule: lambda self, *arguments, **named: None})
        with pytest.raises(TypeError, match=f"never calls its '{rule}'"):
            bl.BlendedModel(own(), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))


@row("loop-of-ones-own")
def _():
    def action(model):
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = model.compute_loss(x=X, y=Y, y_pred=model(X, training=True))
            model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    _, blended = both(action)
    assert int(blended.step) == 3


@row("compiled-again")
def _():
    def action(model):
        fitted()(model)
        model.compile("sgd", metrics=["mse"], **({"loss": "mse"} if not isinstance(model, bl.BlendedModel) else {}))
        return fitted()(model)

    _, blended = both(action)
    assert int(blended.step) == 16  # goes on, as the weights do
    assert int(blended.optimizer.iterations) == 8


@row("loss-in-compile")
def _():
    for named in ({"loss": "mse"}, {"loss_weights": [1.0]}):
        with pytest.raises(ValueError, match="compile without it"):
            pair()[1].compile("adam", **named)
