"""Gates that watch a metric, in `fit`."""

import keras
import numpy as np
import pytest

import blendloss as bl
from tests.keras.models import X, Y, assert_same_weights, fit, model_of


def test_plateau_switches_in_fit():
    history = fit(model_of("plateau", "hard"), epochs=6)
    # The first epoch sets the best; each later one that gains less than min_delta moves on.
    stages = [max(("mse", "huber", "mae"), key=lambda name: history[f"gate/{name}"][epoch]) for epoch in range(6)]
    assert stages == sorted(stages, key=["mse", "huber", "mae"].index)
    assert stages[0] == "mse"
    assert stages[-1] == "mae"


def test_fit_without_validation_refuses_a_gate_that_watches_it():
    with pytest.raises(ValueError, match="pass `validation_data=` or `validation_split=`"):
        model_of("plateau").fit(X, Y, verbose=0)


def test_metric_that_is_not_logged_raises():
    with pytest.raises(ValueError, match="watches 'val_mae', which is not among the logs"):
        fit(model_of("plateau", metrics=["mse"]))


@pytest.mark.parametrize("made", [False, True], ids=["list", "CallbackList"])
def test_monitor_of_another_gate_does_not_stand_in(made):
    model = model_of("plateau")
    other = model_of("plateau").blend.gate
    callbacks = [bl.keras.MetricMonitor(other)]
    if made:
        callbacks = keras.callbacks.CallbackList(callbacks, model=model, add_history=True)
    model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=callbacks)
    assert np.isfinite(model.blend.gate.best.numpy())


def test_fit_of_no_epochs_needs_no_metric():
    model = model_of("plateau")
    assert fit(model, epochs=3, initial_epoch=3) == {}
    assert int(model.step) == 0


def test_users_own_monitor_is_not_doubled():
    model = model_of("plateau")
    fit(model, epochs=3, callbacks=[bl.keras.MetricMonitor(model.blend.gate)])
    twin = model_of("plateau")
    fit(twin, epochs=3)
    assert_same_weights(model, twin)
