"""Losses, sample weights and targets, as in Keras. The details are in tests/blend."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.contract.rows import W, X, Y, both, checks_of_rows, fitted, outputs, pair
from tests.seeding import seed

row, test_row = checks_of_rows()


class Costs(keras.losses.MeanSquaredError):
    """A loss with a `__call__` of its own."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return 3 * super().__call__(y_true, y_pred, sample_weight)


@row("loss-call")
def _():
    both(fitted(sample_weight=W), loss=Costs())
    by_example = bl.gates.ByResidual([1.0])
    with pytest.raises(TypeError, match="must be a penalty"):
        bl.Blend({"costs": Costs(), "mse": bl.losses.SquaredError()}, by_example)


@row("loss-reduction")
def _():
    for reduction in ("sum", "mean_with_sample_weight", "mean"):
        loss = keras.losses.MeanSquaredError(reduction=reduction)
        both(fitted(sample_weight=W), loss=loss, optimizer="sgd")


@row("loss-of-the-batch")
def _():
    both(fitted(y=(Y > 0).astype("float32"), sample_weight=W), loss=keras.losses.Dice())


class Scaled(keras.losses.Loss):
    """A loss with a variable."""

    def __init__(self):
        super().__init__()
        self.factor = keras.Variable(2.0)

    def call(self, y_true, y_pred):
        return self.factor.value * tf.reduce_mean(tf.square(y_pred - y_true), -1)


@row("loss-variables")
def _():
    found = {}
    for name, model in zip(("keras", "ours"), pair(loss=Scaled(), optimizer="sgd"), strict=True):
        loss = model.loss if name == "keras" else next(iter(model.blend.functions.values()))
        loss.factor.assign(2.0)
        fitted()(model)
        found[name] = float(loss.factor)
    assert found["keras"] == 2.0
    assert found["ours"] < 2.0


@row("weights-of-a-loss")
def _():
    pairs = {"a": "mse", "b": "mae"}
    seed()
    plain = outputs(pairs)
    seed()
    losses = {f"of-{key}": bl.losses.OutputLoss(key, loss) for key, loss in pairs.items()}
    by_output = bl.BlendedModel(outputs(pairs), bl.Blend(losses, bl.gates.Fixed([1.0, 1.0])))
    plain.compile("sgd", loss=pairs)
    by_output.compile("sgd")
    y, weights = {"a": Y, "b": 2 * Y}, {"a": W, "b": W[::-1]}

    def action(model):
        return fitted(y=y, sample_weight=weights)(model)["loss"]

    both(action, models=(plain, by_output))
    blend = bl.Blend(pairs, bl.gates.Fixed([1.0, 1.0]))
    expected = keras.losses.MeanSquaredError()(Y, 0 * Y, W) + keras.losses.MeanAbsoluteError()(Y, 0 * Y)
    np.testing.assert_allclose(blend(Y, 0 * Y, {"a": W}), expected, rtol=1e-6)


@row("missing-targets")
def _():
    missing = np.where(np.arange(32)[:, None] == 0, np.nan, Y).astype("float32")
    assert W[0] == 0
    plain, blended = pair()
    expected = fitted(sample_weight=W)(plain)["loss"]  # of targets that are all there
    np.testing.assert_allclose(fitted(y=missing, sample_weight=W)(blended)["loss"], expected, rtol=1e-5)
    assert np.isnan(fitted(y=missing, sample_weight=W)(plain)["loss"]).all()


@row("targets")
def _():
    def action(model):
        return fitted(y=Y[:, 0])(model)  # [batch] for predictions of [batch, 1]

    both(action)
    with pytest.raises(ValueError, match="`y` must be given"):
        pair()[1].fit(X, verbose=0)
