"""The callback that keeps and draws the weights."""

import keras
import numpy as np
import pytest

import blendloss as bl


def fitted(every, optimizer="sgd", **named):
    blend = bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Scheduled(bl.schedules.linear(0.0, 1.0, steps=8)))
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), blend)
    model.compile(optimizer, **named)
    kept = bl.keras.GateHistory(every)
    model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=2, epochs=2, verbose=0, callbacks=[kept])
    return kept


def test_weights_of_every_step():
    kept = fitted(every=1)
    assert kept.steps == list(range(8))
    np.testing.assert_allclose(kept.weights["mae"], np.arange(8) / 8, rtol=1e-6)
    np.testing.assert_allclose(kept.weights["mse"], 1 - np.arange(8) / 8, rtol=1e-6)


def test_weights_of_every_nth_step():
    assert fitted(every=3).steps == [0, 3, 6]


def test_last_step_of_each_execution():
    kept = fitted(every=1, steps_per_execution=2)
    np.testing.assert_allclose(kept.weights["mae"], np.array(kept.steps) / 8, rtol=1e-6)


def test_weights_of_every_nth_execution():
    assert fitted(every=2, steps_per_execution=2).steps == [1, 5]


def test_steps_stand_still_while_gradients_accumulate():
    kept = fitted(every=1, optimizer=keras.optimizers.SGD(gradient_accumulation_steps=2))
    assert kept.steps == [0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_allclose(kept.weights["mae"], np.array(kept.steps) / 8, rtol=1e-6)


def test_plot_draws_a_line_for_each_loss(tmp_path):
    figure = fitted(every=1).plot(tmp_path / "gates.png")
    assert [line.get_label() for line in figure.axes[0].lines] == ["mse", "mae"]
    assert (tmp_path / "gates.png").read_bytes().startswith(b"\x89PNG")


def test_other_models_are_refused():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="GateHistory needs a BlendedModel"):
        model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0, callbacks=[bl.keras.GateHistory()])
