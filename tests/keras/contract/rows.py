"""The table in docs/keras.md, row by row: what Keras does, and what BlendedModel does.

Each row has an id in the table, and a check of that id in a file of this folder. `both` does the same to a plain Keras
model and to a `BlendedModel` of the same network, whose blend is the plain model's loss.
"""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.seeding import seed

PAGE = (pathlib.Path(__file__).parents[3] / "docs" / "keras.md").read_text()
ROWS = re.findall(r"^\| `(.*?)`", PAGE, re.MULTILINE)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 3)).astype("float32")
Y = RNG.normal(size=(32, 1)).astype("float32")
W = np.linspace(0, 2, 32).astype("float32")


def checks_of_rows():
    """A decorator `row(name)` for the checks of a file, and the test that runs them, one case for each."""
    checks = {}

    def row(name):
        def add(check):
            assert name not in checks
            checks[name] = check
            return check

        return add

    @pytest.mark.parametrize("name", checks)
    def test_row(name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        checks[name]()

    test_row.checks = checks
    return row, test_row


def network():
    return keras.Sequential(
        [keras.Input([3]), keras.layers.Dense(4, "tanh", name="lower"), keras.layers.Dense(1, name="upper")]
    )


def pair(net=network, loss="mse", kind=bl.BlendedModel, base=None, **named):
    """A plain model of a network and its BlendedModel, from the same weights."""
    seed()
    plain = net() if base is None else base(net())
    seed()
    blended = kind(net(), bl.Blend({"loss": loss}, bl.gates.Fixed([1.0])))
    named = {"optimizer": "adam", "metrics": ["mae"], **named}
    plain.compile(**{**named, "optimizer": keras.optimizers.get(named["optimizer"])}, loss=loss)
    blended.compile(**{**named, "optimizer": keras.optimizers.get(named["optimizer"])})
    return plain, blended


def of_keras(found):
    """What Keras gives, too: without the blend's weights and losses."""
    return {name: value for name, value in found.items() if "/" not in name} if isinstance(found, dict) else found


def assert_equal(found, expected):
    assert keras.tree.map_structure(lambda _: 0, of_keras(found)) == keras.tree.map_structure(lambda _: 0, expected)
    for ours, theirs in zip(tf.nest.flatten(of_keras(found)), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def both(action, models=None, **named):
    """The action gives the same with both, and leaves the same weights in both networks."""
    plain, blended = models or pair(**named)
    expected, found = action(plain), action(blended)
    assert_equal(found, expected)
    for ours, theirs in zip(blended.network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return plain, blended


def fitted(x=X, y=Y, **named):
    return lambda model: (
        model.fit(x, y, **{"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0, **named}).history
    )


def outputs(structure):
    inputs = keras.Input([3])
    return keras.Model(
        inputs, keras.tree.map_structure(lambda name: keras.layers.Dense(1, name=name)(inputs), structure)
    )
