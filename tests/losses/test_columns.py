"""Losses of some columns of an output, and blends of them, against NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import Columns, OutputLoss, Quantile
from tests.losses import golden

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(6, 1)).astype("float32")
P = (Y + RNG.normal(size=(6, 3))).astype("float32")
SAMPLE = np.linspace(0, 2, 6).astype("float32")
# A mean of at most 6 numbers in float32, and its weights and their sum.
ROUNDING: dict[str, Any] = {"rtol": 16 * 2.0**-23, "atol": 1e-7}


def pinball(q, y, p):
    return np.maximum(q * (y - p), (q - 1) * (y - p)).astype("float64")


def quantiles(gate=None, mode=None, **named):
    losses = {f"q{round(100 * q)}": Columns(Quantile(q), column) for q, column in ((0.1, 0), (0.5, 1), (0.9, -1))}
    return bl.Blend(losses, bl.gates.Fixed([1.0, 2.0, 0.5]) if gate is None else gate, mode, **named)


EXPECTED = [pinball(q, Y[:, 0], P[:, column]) for q, column in ((0.1, 0), (0.5, 1), (0.9, 2))]


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "values"), [row[1:] for row in golden.COLUMNS], ids=[row[0] for row in golden.COLUMNS]
)
def test_golden_values(loss, y_true, y_pred, values):
    np.testing.assert_array_equal(loss(y_true, y_pred), np.float32(values))


@pytest.mark.parametrize("target", [Y, Y[:, 0]], ids=["column", "vector"])
@pytest.mark.parametrize("sample", [None, SAMPLE, SAMPLE[:, np.newaxis]], ids=["none", "vector", "column"])
def test_a_target_of_one_column_is_not_broadcast(target, sample):
    output = quantiles().compute(target, P, None if sample is None else sample[:, 0] if sample.ndim == 2 else sample)
    weights = np.ones(6) if sample is None else np.ravel(sample)
    expected = [np.mean(weights * values) for values in EXPECTED]
    np.testing.assert_allclose(output.losses, expected, **ROUNDING)
    np.testing.assert_allclose(output.value, np.dot([1, 2, 0.5], expected), **ROUNDING)


@pytest.mark.parametrize("execution", ["eager", "graph", "xla", "unknown-batch"])
@pytest.mark.parametrize("mode", [bl.modes.Soft(), bl.modes.Hard()], ids=["soft", "hard"])
def test_values_and_gradients_in_every_execution(mode, execution):
    blend = quantiles(mode=mode)

    def run(y, p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = blend(y, p)
        return value, tape.gradient(value, p)

    if execution != "eager":
        batch = None if execution == "unknown-batch" else 6
        signature = [tf.TensorSpec([batch, 1]), tf.TensorSpec([batch, 3])]
        run = tf.function(run, input_signature=signature, jit_compile=execution == "xla")
    value, gradient = run(tf.constant(Y), tf.constant(P))
    weights = [1, 2, 0.5] if isinstance(mode, bl.modes.Soft) else [0, 3.5, 0]
    np.testing.assert_allclose(value, np.dot(weights, [values.mean() for values in EXPECTED]), **ROUNDING)
    slopes = [np.where(P[:, c] > Y[:, 0], 1 - q, -q) for c, q in enumerate((0.1, 0.5, 0.9))]
    np.testing.assert_allclose(gradient, np.transpose(slopes) * weights / 6, **ROUNDING)


LOSSES: dict[str, tuple[Any, Any]] = {
    "penalty": (bl.losses.Huber(0.5), lambda r: np.where(abs(r) < 0.5, r**2 / 2, 0.5 * abs(r) - 0.125)),
    "keras": (keras.losses.MeanSquaredError(), np.square),
    "name": ("mae", np.abs),
    "function": (lambda y, p: tf.reduce_mean(tf.abs(y - p) ** 3, -1), lambda r: abs(r) ** 3),
    "columns": (Columns("mse", [0, 1]), np.square),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("by_output", [False, True], ids=["alone", "in-an-output-loss"])
@pytest.mark.parametrize(
    ("columns", "targets", "of_pred", "of_true"),
    [
        pytest.param([0, 2], None, [0, 2], [0, 2], id="the-same"),
        pytest.param((-1, 0), None, [2, 0], [2, 0], id="reversed"),
        pytest.param(range(1, 3), np.array([0, 0]), [1, 2], [0, 0], id="one-target-for-two"),
        pytest.param([1, 1], [0, -1], [1, 1], [0, 2], id="one-output-for-two"),
    ],
)
def test_any_loss_of_any_columns(loss, by_output, columns, targets, of_pred, of_true):
    made, rho = LOSSES[loss]
    y = RNG.normal(size=(6, 4, 3)).astype("float32")
    p = RNG.normal(size=(6, 4, 3)).astype("float32")
    one = Columns(made, columns, targets)
    blend = bl.Blend({"one": OutputLoss("out", one) if by_output else one}, bl.gates.Fixed([1.0]))
    value = blend({"out": y}, {"out": p}, SAMPLE) if by_output else blend(y, p, SAMPLE)
    values = rho(p[..., of_pred].astype("float64") - y[..., of_true]).mean(-1)
    np.testing.assert_allclose(value, (values * SAMPLE[:, np.newaxis]).mean(), rtol=1e-5)


def test_all_of_the_target_for_as_many_columns():
    loss = Columns("mse", [0, 2])
    y = RNG.normal(size=(6, 2)).astype("float32")
    np.testing.assert_allclose(loss(y, P), np.square(P[:, [0, 2]] - y).mean(-1), rtol=1e-6)


def test_a_mask_counts_for_columns():
    p = tf.constant(RNG.normal(size=(2, 3, 2)), tf.float32)
    p._keras_mask = tf.constant([[True, True, False], [True, False, False]])
    value = bl.Blend({"first": Columns("mse", 0), "second": Columns("mae", 1)}, bl.gates.Fixed([1.0, 1.0]))
    zeros = np.zeros([2, 3, 1], "float32")
    kept = np.array(p)[np.array(p._keras_mask)]
    np.testing.assert_allclose(value(zeros, p), np.mean(kept[:, 0] ** 2) + np.mean(abs(kept[:, 1])), rtol=1e-6)


def test_labels_of_classes_beside_numbers():
    logits = RNG.normal(size=(6, 4)).astype("float32")
    y = np.stack([RNG.normal(size=6), RNG.integers(0, 3, 6)], axis=1).astype("float32")
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = {"number": Columns("mse", 0, targets=0), "kind": Columns(crossentropy, [1, 2, 3], targets=1)}
    output = bl.Blend(losses, bl.gates.Fixed([1.0, 1.0])).compute(y, logits)
    scores = logits[:, 1:].astype("float64")
    by_class = np.log(np.exp(scores).sum(-1)) - scores[np.arange(6), y[:, 1].astype(int)]
    np.testing.assert_allclose(output.losses, [np.mean((logits[:, 0] - y[:, 0]) ** 2), by_class.mean()], rtol=1e-5)


@pytest.mark.parametrize("gate", ["network", "learned", "softadapt", "uncertainty"])
def test_columns_under_gates_of_every_kind(gate):
    made = {
        "network": lambda: bl.gates.Network(
            keras.Sequential([keras.Input([1]), keras.layers.Dense(3, kernel_initializer="zeros")])
        ),
        "learned": bl.gates.Learned,
        "softadapt": bl.gates.SoftAdapt,
        "uncertainty": bl.gates.Uncertainty,
    }[gate]()
    output = quantiles(made).compute(Y, P, SAMPLE, step=0, features=tf.zeros([6, 1]))
    expected = [np.mean(SAMPLE * values) for values in EXPECTED]
    np.testing.assert_allclose(output.losses, expected, **ROUNDING)
    np.testing.assert_allclose(output.value, np.dot(output.weights, expected), rtol=1e-5)


def test_a_loss_that_trains_is_tracked():
    blend = bl.Blend({"a": OutputLoss("out", Columns(bl.losses.AdaptiveBarron(2), [0, 2]))}, bl.gates.Fixed([1.0]))
    assert [tuple(variable.shape) for variable in blend.trainable_variables] == [(2,), (2,)]


@pytest.mark.parametrize("gate", [bl.gates.ExponentialFamily, lambda: bl.gates.ByResidual([1.0])])
def test_gates_of_one_residual_refuse_columns(gate):
    losses = {"a": Columns(bl.losses.Huber(), 0), "b": Columns(bl.losses.Huber(), 1)}
    with pytest.raises((TypeError, ValueError), match="penalty|one residual"):
        bl.Blend(losses, gate())
    state = bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0], width=1.0)
    with pytest.raises(ValueError, match="one residual that all losses share"):
        bl.Blend(losses, state)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("mse", []), ValueError, "`columns` must not be empty"),
        (("mse", 0, []), ValueError, "`targets` must not be empty"),
        (("mse", 0.5), TypeError, "`columns` must be an integer"),
        (("mse", True), TypeError, "`columns` must be an integer"),
        (("mse", "01"), TypeError, "`columns` must be an integer"),
        (("mse", [0, None]), TypeError, r"`columns\[1\]` must be an integer"),
        ((OutputLoss("a", "mse"), 0), TypeError, "`loss` must not be an `OutputLoss`"),
        (("no-loss", 0), ValueError, "`loss` must be the name of a Keras loss"),
        ((3, 0), TypeError, "`loss` must be a penalty"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        Columns(*arguments)


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "message"),
    [
        pytest.param(Columns("mse", 3), Y, P, r"`y_pred` must have the columns 3.*\(6, 3\)", id="beyond"),
        pytest.param(Columns("mse", -4), Y, P, r"`y_pred` must have the columns -4", id="before"),
        pytest.param(Columns("mse", 0, 1), Y, P, r"`y_true` must have the columns 1.*\(6, 1\)", id="target-beyond"),
        pytest.param(Columns("mse", 0), Y[:, 0], P[:, 0], r"last axis of known length.*\(6,\)", id="no-columns"),
        pytest.param(
            Columns("mse", [0, 1]),
            Y,
            P,
            r"as many columns as `y_pred` or as the loss reads, 2;.*y_true of shape \(6, 1\)",
            id="one-for-two",
        ),
        pytest.param(
            Columns("mse", 0), P[:, :2], P, r"as many columns as `y_pred` or as the loss reads, 1;", id="two-for-one"
        ),
    ],
)
def test_columns_that_are_not_there(loss, y_true, y_pred, message):
    for call in (loss, bl.Blend({"a": loss}, bl.gates.Fixed([1.0]))):
        with pytest.raises(ValueError, match=message):
            call(y_true, y_pred)


def test_a_number_of_columns_that_is_not_known_is_refused():
    loss = Columns("mse", 0)
    step = tf.function(lambda y, p: loss(y, p), input_signature=[tf.TensorSpec([None, 1]), tf.TensorSpec([None, None])])
    with pytest.raises(ValueError, match="last axis of known length"):
        step(tf.constant(Y), tf.constant(P))


@keras.saving.register_keras_serializable(package="tests")
def fourth(y_true, y_pred):
    return tf.reduce_mean((y_true - y_pred) ** 4, axis=-1)


@pytest.mark.parametrize(
    "loss",
    [
        Columns(Quantile(0.1), 0),
        Columns("mse", (0, 2), targets=range(2)),
        Columns(fourth, -1),
        Columns(Columns("mae", 1), [0, 2]),
    ],
    ids=["penalty", "name", "function", "columns"],
)
def test_round_trip(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again == loss
    assert repr(loss).startswith("Columns(loss=")
    np.testing.assert_array_equal(again(P[::-1], P), loss(P[::-1], P))


def model_of():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(3)])
    model = bl.BlendedModel(network, quantiles(bl.gates.Learned(normalize="running")), held_out=None)
    model.compile("adam")
    return model


def test_a_model_of_quantiles_is_saved_and_goes_on(tmp_path):
    straight, stopped = model_of(), model_of()
    named = {"batch_size": 2, "shuffle": False, "verbose": 0}
    history = straight.fit(Y, Y, epochs=2, **named).history
    stopped.fit(Y, Y, epochs=1, **named)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert resumed.fit(Y, Y, epochs=2, initial_epoch=1, **named).history["loss/q90"] == history["loss/q90"][1:]
    for one, other in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_held_out_target_of_columns():
    values = []
    for target in (Columns("mae", 1), lambda y, p: tf.abs(y - p[..., 1:2])[..., 0]):
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input([1]), keras.layers.Dense(3)])
        model = bl.BlendedModel(network, quantiles(bl.gates.Learned()), held_out=bl.keras.HeldOut(target, batch_size=6))
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(Y, Y, held_out_data=(Y, Y), epochs=2, verbose=0)
        values.append(model.blend.gate.logits.numpy())
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    assert values[0].any()


def test_residuals_of_columns():
    residuals = quantiles().residuals(Y, P)
    np.testing.assert_array_equal(residuals["q10"], P[:, :1] - Y)
