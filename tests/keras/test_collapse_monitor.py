"""The callback that says when a trained gate has collapsed."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ np.ones((4, 1)) + 0.3 * RNG.normal(size=(64, 1))).astype("float32")
PENALTIES = {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}


def fitted(gate, monitors, epochs=4, mode=None, fits=1, start="zeros", **named):
    """The messages of `fit`, and the model."""
    network = keras.Sequential([keras.layers.Dense(1, kernel_initializer=start)])
    model = bl.BlendedModel(network, bl.Blend(PENALTIES, gate, mode))
    model.compile(keras.optimizers.Adam(0.05), **named)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(fits):
            model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, callbacks=monitors)
    return [str(warning.message) for warning in caught if "collapse" in str(warning.message)], model


def test_it_warns_once_of_a_gate_that_collapses_in_fit():
    monitor = bl.keras.CollapseMonitor(threshold=0.9)
    messages, _ = fitted(bl.gates.Learned(name="gate"), [monitor], epochs=30, start="ones")  # where y is
    assert len(messages) == 1
    epoch = int(messages[0].split(":")[0].removeprefix("Epoch "))
    assert 1 < epoch < 30
    assert "The gate 'gate' (Learned) has collapsed" in messages[0]
    # r^2 < |r| for residuals below 1, which nearly all are: the smaller numbers, and nothing else.
    assert "of the weight is on 'mse', whose numbers are the smallest (" in messages[0]
    assert "held_out" in messages[0]
    assert monitor.diagnosis.collapsed


def test_it_warns_again_in_another_training():
    messages, _ = fitted(bl.gates.Learned([9.0, 0.0]), [bl.keras.CollapseMonitor()], fits=2)
    assert [message.split(":")[0] for message in messages] == ["Epoch 1", "Epoch 1"]


def test_the_warning_is_a_user_warning():
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), bl.Blend(PENALTIES, bl.gates.Learned([9.0, 0])))
    model.compile("sgd")
    with pytest.warns(UserWarning, match="Epoch 1: The gate .* has collapsed"):
        model.fit(X, Y, verbose=0, callbacks=[bl.keras.CollapseMonitor()])


@pytest.mark.parametrize(
    ("gate", "mode"),
    [
        (lambda: bl.gates.Fixed([1.0, 0.0]), None),
        (lambda: bl.gates.Scheduled(bl.schedules.switch_at(2)), bl.modes.Hard()),
        (lambda: bl.gates.Learned(), None),
        (lambda: bl.gates.Learned(), bl.modes.Hard()),
        (lambda: bl.gates.Learned([9.0, 0.0], normalize="likelihood"), None),
        (lambda: bl.gates.ExponentialFamily([1.0, 1e-4]), None),
        (lambda: bl.gates.Mixture([1.0, 20.0]), None),
    ],
    ids=["fixed", "scheduled", "open", "hard", "likelihood", "exponential-family", "mixture"],
)
def test_it_is_silent_where_nothing_has_collapsed(gate, mode):
    monitor = bl.keras.CollapseMonitor()
    messages, _ = fitted(gate(), [monitor], epochs=2, mode=mode)
    assert messages == []
    assert not monitor.diagnosis.collapsed


@pytest.mark.parametrize("normalize", ["initial", "running"])
def test_shares_are_judged_where_weights_do_not_sum_to_one(normalize):
    monitor = bl.keras.CollapseMonitor()
    messages, model = fitted(bl.gates.Learned([1.0, 0.0], normalize=normalize), [monitor], epochs=1)
    assert messages == []
    assert monitor.diagnosis.shares["mse"] < 0.9
    weights = [model.history.history[f"gate/{name}"][-1] for name in PENALTIES]
    assert abs(sum(weights) - 1) > 0.5
    messages, _ = fitted(bl.gates.Learned([9.0, 0.0], normalize=normalize), [bl.keras.CollapseMonitor()], epochs=1)
    assert len(messages) == 1


def test_an_annealed_gate_is_judged_at_the_models_step():
    mode = bl.modes.Annealed(bl.schedules.linear(20.0, 0.1, steps=16))  # four epochs of four steps
    messages, _ = fitted(bl.gates.Learned([9.0, 0.0]), [bl.keras.CollapseMonitor()], mode=mode, epochs=6)
    assert len(messages) == 1
    assert messages[0].startswith(("Epoch 3", "Epoch 4"))


def test_compiled_by_xla():
    messages, _ = fitted(bl.gates.Learned([9.0, 0.0]), [bl.keras.CollapseMonitor()], jit_compile=True)
    assert len(messages) == 1


def test_a_gate_that_follows_held_out_data_is_left_alone():
    rule = bl.keras.HeldOut("mae", batch_size=16)
    network = keras.Sequential([keras.layers.Dense(1)])
    model = bl.BlendedModel(network, bl.Blend(PENALTIES, bl.gates.Learned([9.0, 0.0])), held_out=rule)
    model.compile(keras.optimizers.SGD(0.01))
    monitor = bl.keras.CollapseMonitor()
    model.fit(X[:32], Y[:32], held_out_data=(X[32:], Y[32:]), verbose=0, callbacks=[monitor])
    assert "held out" in str(monitor.diagnosis)  # and no warning, which would be an error here
    assert monitor.diagnosis.shares["mse"] > 0.99


def test_an_epoch_without_a_batch_is_not_judged():
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), bl.Blend(PENALTIES, bl.gates.Learned()))
    model.compile("sgd")
    monitor = bl.keras.CollapseMonitor()
    with pytest.warns(UserWarning, match="ran out of data"):
        model.fit(
            tf.data.Dataset.from_tensor_slices((X, Y)).batch(16).take(0), callbacks=[monitor], verbose=0, shuffle=False
        )
    assert monitor.diagnosis is None


def test_other_models_are_refused():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="CollapseMonitor needs a BlendedModel"):
        model.fit(X, Y, verbose=0, callbacks=[bl.keras.CollapseMonitor()])


@pytest.mark.parametrize(("threshold", "error"), [(0.5, ValueError), (1.0, ValueError), ("most", TypeError)])
def test_wrong_thresholds(threshold, error):
    with pytest.raises(error, match="`threshold` must"):
        bl.keras.CollapseMonitor(threshold)
