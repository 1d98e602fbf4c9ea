"""The data that a gate is held out for: every row once a turn, in every form."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.keras._held_out_data import in_memory
from blendloss.keras._rows import rows_of_step
from tests.keras.held_out import (
    HELD_OUT,
    X_HELD_OUT,
    Y_HELD_OUT,
    X,
    Y,
    blend_of,
    fit,
    logits_of,
    model_of,
)
from tests.seeding import seed

# Rows


@pytest.mark.parametrize(
    ("number", "size"), [(1, 1), (1, 3), (2, 1), (3, 2), (7, 7), (10, 4), (97, 10), (100, 128), (1000, 50)]
)
def test_every_turn_takes_every_row_once(number, size):
    steps = -(-3 * number // size)
    taken = np.concatenate([rows_of_step(tf.constant(step, tf.int64), size, number, seed=5) for step in range(steps)])
    turns = taken[: 3 * number].reshape(3, number)
    np.testing.assert_array_equal(np.sort(turns, axis=1), np.tile(np.arange(number), (3, 1)))
    if number >= 97:
        assert (turns[0] == turns[1]).mean() < 0.1
        other = rows_of_step(tf.constant(0, tf.int64), number, number, seed=6).numpy()
        assert (turns[0] == other).mean() < 0.1


def test_order_of_rows_looks_random():
    """Each row is as often at one place as at another, and neighbours do not stay together."""
    number, turns = 12, 6000
    rows = rows_of_step(tf.constant(0, tf.int64), number * turns, number, seed=0).numpy().reshape(turns, number)
    for statistic, cells in ((rows[:, 0], 12), (rows[:, 7], 12), ((rows[:, 4] - rows[:, 3]) % number - 1, 11)):
        counts = np.bincount(statistic, minlength=cells)
        expected = turns / cells
        assert ((counts - expected) ** 2 / expected).sum() < 40  # chi-squared with 11 degrees: above 40 is 4e-5


def test_rows_are_the_same_under_xla():
    rows = tf.function(lambda step: rows_of_step(step, 10, 97, seed=-1), jit_compile=True)
    for step in (0, 9, 2**40):
        step = tf.constant(step, tf.int64)
        np.testing.assert_array_equal(rows(step), rows_of_step(step, 10, 97, seed=-1))


# Data

DATA = {
    "arrays": lambda: HELD_OUT,
    "float64": lambda: [part.astype("float64") for part in HELD_OUT],
    "tensors": lambda: tuple(map(tf.constant, HELD_OUT)),
    "pandas": lambda: (pd.DataFrame(X_HELD_OUT), pd.Series(Y_HELD_OUT[:, 0])),
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(HELD_OUT).batch(7),
    "no-weights": lambda: (*HELD_OUT, None),
    "weights-of-1": lambda: (*HELD_OUT, np.ones(24, "float32")),
}


@pytest.fixture(scope="module")
def expected():
    """The logits after a training on the arrays."""

    @functools.cache
    def logits():
        model = model_of(metrics=None)
        fit(model)
        return logits_of(model)

    return logits


@pytest.mark.parametrize("kind", DATA)
def test_data_in_every_form(kind, expected):
    found = model_of(metrics=None)
    fit(found, held_out_data=DATA[kind]())
    np.testing.assert_allclose(logits_of(found), expected(), rtol=1e-5, atol=1e-7)


def test_sample_weights_and_several_inputs():
    def added():
        inputs = {name: keras.Input([4], name=name) for name in "ab"}
        return keras.Model(inputs, keras.layers.Dense(1)(inputs["a"] + inputs["b"]))

    def logits(data):
        seed()
        model = bl.BlendedModel(added(), blend_of(), held_out=bl.keras.HeldOut("mae", batch_size=24))
        model.compile(keras.optimizers.SGD(0.01), gate_optimizer=keras.optimizers.SGD(10.0))
        model.fit({"a": X, "b": 0 * X}, Y, epochs=1, batch_size=64, verbose=0, held_out_data=data)
        return logits_of(model)

    inputs = {"a": X_HELD_OUT, "b": 0 * X_HELD_OUT}
    twice = {name: np.concatenate([part, part[12:]]) for name, part in inputs.items()}
    zeros = np.where(np.arange(24) < 12, 0.0, 2.0).astype("float32")
    half = {name: part[12:] for name, part in inputs.items()}
    weighted = logits((inputs, Y_HELD_OUT, zeros))
    # Weights 0 and 2: the mean over the second half. Its 12 rows come twice in a batch of 24.
    np.testing.assert_allclose(weighted, logits((half, Y_HELD_OUT[12:])), rtol=1e-4, atol=1e-7)
    assert np.abs(weighted - logits((inputs, Y_HELD_OUT))).max() > 1e-5
    assert in_memory((twice, np.concatenate([Y_HELD_OUT, Y_HELD_OUT[12:]])))[1].shape == (36, 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X_HELD_OUT, "must be \\(x, y\\)"),
        ((X_HELD_OUT,), "must be \\(x, y\\)"),
        ((X_HELD_OUT, None), "must have targets"),
        ((X_HELD_OUT, Y_HELD_OUT[1:]), "the same number of rows"),
        ((X_HELD_OUT[:0], Y_HELD_OUT[:0]), "at least one"),
        (tf.data.Dataset.from_tensor_slices(HELD_OUT).batch(8).repeat(), "must be finite"),
        (tf.data.Dataset.from_tensor_slices(HELD_OUT).batch(8).take(0), "must not be empty"),
        (tf.data.Dataset.from_tensor_slices((X_HELD_OUT, Y_HELD_OUT[:, 0])), "must be batched"),
    ],
)
def test_wrong_data(data, message):
    with pytest.raises(ValueError, match=message):
        model_of().set_held_out_data(data)
