"""A loss that reads several outputs, against NumPy and plain Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import Columns, OutputLoss
from tests.losses.golden import laplace_nll

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(6, 4, 2)).astype("float32")
MEAN, LOG_SCALE = (RNG.normal(size=(6, 4, 2)).astype("float32") for _ in range(2))
OUTPUTS = {"mean": MEAN, "log_scale": LOG_SCALE, "other": np.zeros([6, 1], "float32")}
SAMPLE = np.linspace(0, 2, 6).astype("float32")
VALUES = (np.abs(Y - MEAN).astype("float64") * np.exp(-LOG_SCALE.astype("float64")) + LOG_SCALE).mean(-1)


def of_a_dict(y_true, outputs):
    return laplace_nll(y_true, (outputs["location"], outputs["spread"]["log"]))


@keras.saving.register_keras_serializable(package="tests")
class Laplace(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return laplace_nll(y_true, y_pred)


def blend_of(loss, gate=None, **named):
    losses = {"nll": loss, "other": OutputLoss("other", "mse", target=1.0)}
    return bl.Blend(losses, bl.gates.Fixed([2.0, 1.0]) if gate is None else gate, **named)


NAMES = ("mean", "log_scale")


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred"),
    [
        pytest.param(OutputLoss(NAMES, laplace_nll, target="y"), {"y": Y}, OUTPUTS, id="function"),
        pytest.param(OutputLoss(list(NAMES), Laplace(), target="y"), {"y": Y}, OUTPUTS, id="keras-loss"),
        pytest.param(
            OutputLoss({"location": "mean", "spread": {"log": "log_scale"}}, of_a_dict, target="y"),
            {"y": Y},
            OUTPUTS,
            id="dict",
        ),
        pytest.param(
            OutputLoss((NAMES, "other"), lambda y, p: laplace_nll(y, p[0]) + 0 * p[1], target="y"),
            {"y": Y},
            OUTPUTS,
            id="nested",
        ),
        pytest.param(
            OutputLoss(NAMES, lambda y, p: laplace_nll(y[0], p) + 0 * tf.reduce_sum(y[1], -1)),
            {"mean": Y, "log_scale": 0 * Y},
            OUTPUTS,
            id="targets-of-the-same-names",
        ),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("sample", [None, SAMPLE], ids=["alike", "weighed"])
def test_the_loss_is_given_the_outputs(loss, y_true, y_pred, reduction, sample):
    output = blend_of(loss, reduction=reduction).compute(y_true, y_pred, sample)
    weights = np.ones([6, 4]) * (1 if sample is None else sample[:, np.newaxis])
    total = (VALUES * weights).sum()
    expected = total / {"mean": 24, "sum": 1, "mean_with_sample_weight": weights.sum()}[reduction]
    np.testing.assert_allclose(output.losses[0], expected, rtol=1e-5)
    np.testing.assert_allclose(output.value, 2 * expected + output.losses[1], rtol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
class OfTwoShapes(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_true - y_pred[0]), axis=-1) + y_pred[1]


def test_outputs_of_different_shapes_are_not_stacked():
    blend = bl.Blend({"one": OutputLoss(("mean", "other"), OfTwoShapes(), target="y")}, bl.gates.Fixed([1.0]))
    value = blend({"y": Y}, {**OUTPUTS, "other": np.ones([6, 1], "float32")})
    np.testing.assert_allclose(value, np.abs(Y - MEAN).mean() + 1, rtol=1e-6)


def test_outputs_of_a_list_by_index():
    blend = bl.Blend({"nll": OutputLoss((-1, 0), laplace_nll, target=0)}, bl.gates.Fixed([1.0]))
    np.testing.assert_allclose(blend([Y], [LOG_SCALE, MEAN]), VALUES.mean(), rtol=1e-5)


def test_a_target_without_the_last_axis_is_not_broadcast():
    mean, log_scale = MEAN[:, 0, :1], LOG_SCALE[:, 0, :1]
    values = blend_of(OutputLoss(NAMES, laplace_nll, target="y")).values(
        {"y": Y[:, 0, 0]}, {**OUTPUTS, "mean": mean, "log_scale": log_scale}
    )
    expected = np.abs(Y[:, 0, :1] - mean) * np.exp(-log_scale) + log_scale
    np.testing.assert_allclose(values["nll"], expected.mean(), rtol=1e-6)


def test_a_constant_target_has_the_first_outputs_shape():
    blend = bl.Blend({"nll": OutputLoss(NAMES, laplace_nll, target=0.0)}, bl.gates.Fixed([1.0]))
    expected = np.abs(MEAN) * np.exp(-LOG_SCALE) + LOG_SCALE
    np.testing.assert_allclose(blend(None, OUTPUTS), expected.mean(), rtol=1e-5)


@pytest.mark.parametrize("key", NAMES)
def test_sample_weights_of_one_of_the_outputs_are_the_losses(key):
    output = blend_of(OutputLoss(NAMES, laplace_nll, target="y")).compute({"y": Y}, OUTPUTS, {key: SAMPLE})
    np.testing.assert_allclose(output.losses[0], (VALUES * SAMPLE[:, np.newaxis]).mean(), rtol=1e-5)
    np.testing.assert_allclose(output.losses[1], 1)


def test_different_sample_weights_of_the_outputs_of_one_loss_are_refused():
    blend = blend_of(OutputLoss(NAMES, laplace_nll, target="y"))
    with pytest.raises(ValueError, match="`sample_weight` must be given for one of the outputs.*weights of 2"):
        blend({"y": Y}, OUTPUTS, {"mean": SAMPLE, "log_scale": 2 * SAMPLE})


def masked(values, mask):
    tensor = tf.constant(values)
    tensor._keras_mask = mask
    return tensor


def test_an_element_counts_if_it_counts_in_all_outputs():
    one, two = RNG.uniform(size=(2, 6, 4)) > 0.3
    outputs = {**OUTPUTS, "mean": masked(MEAN, tf.constant(one)), "log_scale": masked(LOG_SCALE, tf.constant(two))}
    output = blend_of(OutputLoss(NAMES, laplace_nll, target="y")).compute({"y": Y}, outputs)
    np.testing.assert_allclose(output.losses[0], VALUES[one & two].mean(), rtol=1e-5)
    outputs["log_scale"] = masked(LOG_SCALE, tf.constant(two[:, 0]))
    with pytest.raises(ValueError, match="Masks of outputs that one loss reads must have one shape"):
        blend_of(OutputLoss(NAMES, laplace_nll, target="y"))({"y": Y}, outputs)


def test_a_weight_of_0_keeps_infinities_out():
    outputs = {**OUTPUTS, "log_scale": np.full_like(LOG_SCALE, -200)}  # exp(200) is infinite
    blend = blend_of(OutputLoss(NAMES, laplace_nll, target="y"), bl.gates.Fixed([0.0, 1.0]))
    with tf.GradientTape() as tape:
        given = {name: tf.constant(value) for name, value in outputs.items()}
        tape.watch(given)
        value = blend({"y": Y}, given)
    slopes = tape.gradient(value, given)
    assert float(value) == 1
    np.testing.assert_array_equal(slopes["mean"], np.zeros_like(MEAN))
    np.testing.assert_array_equal(slopes["log_scale"], np.zeros_like(MEAN))


class OwnCall(Laplace):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return 2 * super().__call__(y_true, y_pred, sample_weight)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((NAMES, "mse"), TypeError, "`loss` of several outputs must be a function"),
        ((NAMES, bl.losses.Huber()), TypeError, "`loss` of several outputs must be a function"),
        ((NAMES, keras.losses.MeanSquaredError()), TypeError, "`loss` of several outputs must be a function"),
        ((NAMES, keras.losses.mean_squared_error), TypeError, "`loss` of several outputs must be a function"),
        ((NAMES, Columns(laplace_nll, 0)), TypeError, "`loss` of several outputs must be a function"),
        ((NAMES, OwnCall()), TypeError, "must have the `__call__` of `keras.losses.Loss`"),
        ((NAMES, Laplace(reduction="sum")), TypeError, "reduce by a mean.*reduction='sum'"),
        (((), laplace_nll), ValueError, "`output` must not be empty"),
        ((NAMES, laplace_nll, {}), ValueError, "`target` must not be empty"),
        ((("a", 1.5), laplace_nll), TypeError, "`output` must be a key or an index"),
        ((("a", None), laplace_nll), TypeError, "`output` must be a key or an index"),
    ],
    ids=[
        "name",
        "penalty",
        "keras-loss",
        "keras-function",
        "columns",
        "own-call",
        "own-reduction",
        "no-output",
        "no-target",
        "float-key",
        "none-key",
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        OutputLoss(*arguments)


def test_a_missing_output_is_named():
    with pytest.raises(KeyError, match="`y_pred` must have 'scale'.*Received: .*'log_scale'"):
        blend_of(OutputLoss(("mean", "scale"), laplace_nll, target="y"))({"y": Y}, OUTPUTS)


@pytest.mark.parametrize("output", [NAMES, {"b": "mean", "a": ["log_scale", ["other"]]}], ids=str)
def test_round_trip(output):
    loss = OutputLoss(output, laplace_nll, target=("y", "z"))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again == loss
    assert again.output == loss.output  # tuples are tuples again
    assert again.target == ("y", "z")


X = RNG.normal(size=(64, 3)).astype("float32")
TARGET = (X.sum(axis=1, keepdims=True) + RNG.laplace(size=(64, 1))).astype("float32")


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input([3])
    return keras.Model(inputs, {name: keras.layers.Dense(1, name=name)(inputs) for name in NAMES})


def model_of(gate=None, jit_compile=False):
    losses = {"nll": OutputLoss(NAMES, laplace_nll, target="y"), "small": OutputLoss("log_scale", "mse", target=0.0)}
    model = bl.BlendedModel(network(), bl.Blend(losses, gate or bl.gates.Fixed([1.0, 0.0])))
    model.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
    return model


FIT = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_model_trains_as_plain_keras_on_the_joined_outputs(jit_compile):
    model = model_of(jit_compile=jit_compile)
    model.fit(X, {"y": TARGET}, **FIT)
    twin = network()
    plain = keras.Model(twin.inputs, keras.layers.Concatenate()([twin.output["mean"], twin.output["log_scale"]]))
    plain.compile(keras.optimizers.SGD(0.1), loss=lambda y, p: laplace_nll(y, (p[:, :1], p[:, 1:])))
    plain.fit(X, TARGET, **FIT)
    for one, other in zip(model.network.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gate", [bl.gates.SoftAdapt, bl.gates.CAGrad, bl.gates.Learned])
def test_gates_of_every_kind_save_and_go_on(gate, tmp_path):
    straight, stopped = model_of(gate()), model_of(gate())
    straight.fit(X, {"y": TARGET}, **FIT)
    stopped.fit(X, {"y": TARGET}, **{**FIT, "epochs": 1})
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    resumed.fit(X, {"y": TARGET}, initial_epoch=1, **FIT)
    for one, other in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
