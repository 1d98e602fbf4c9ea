"""A blend as a loss for plain `compile`."""

import keras
import numpy as np
import pytest

import blendloss as bl
from tests.blend.instances import LOSSES, Y_PRED, Y_TRUE, fixed


def compiled(loss, optimizer="sgd"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile(optimizer, loss=loss)
    return model


def test_blend_in_plain_compile_trains_as_the_keras_losses_do():
    sample_weight = np.arange(6, dtype="float32")
    ours, theirs = (
        compiled(loss).fit(Y_TRUE, Y_PRED, sample_weight=sample_weight, epochs=3, verbose=0, shuffle=False)
        for loss in (
            bl.Blend({"mse": bl.losses.SquaredError(), "mae": "mae"}, bl.gates.Fixed([1.0, 0.0])),
            keras.losses.MeanSquaredError(),
        )
    )
    np.testing.assert_allclose(ours.history["loss"], theirs.history["loss"], rtol=1e-6)


def test_scheduled_blend_follows_the_optimizer_in_plain_compile():
    optimizer = keras.optimizers.SGD()
    blend = bl.Blend({"zero": lambda y, p: 0 * p[:, 0], "mse": "mse"}, bl.gates.Scheduled(bl.schedules.switch_at(2)))
    history = compiled(blend.as_keras_loss(optimizer.iterations), optimizer).fit(
        Y_TRUE, Y_PRED, batch_size=6, epochs=4, verbose=0
    )
    assert [loss > 0 for loss in history.history["loss"]] == [False, False, True, True]


NEEDS_STEP = {
    "trains": bl.gates.Learned,
    "keeps a running state": lambda: bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0, 2.0], width=1.0),
    "follows the step": lambda: bl.gates.Scheduled(0.0),
    "watches a metric that nothing shows it": lambda: bl.gates.Plateau("val_mae"),
}


@pytest.mark.parametrize("reason", NEEDS_STEP)
def test_plain_compile_refuses_what_would_silently_stay_as_it_is(reason):
    blend = bl.Blend(LOSSES, NEEDS_STEP[reason]())
    with pytest.raises(ValueError, match=f"{reason}.*use `BlendedModel"):
        compiled(blend).fit(Y_TRUE, Y_PRED, verbose=0)


def test_gate_that_is_shown_its_metric_switches_in_plain_compile():
    gate = bl.gates.Threshold("loss", [1e9])
    model = compiled(bl.Blend({"mse": "mse", "zero": lambda y, p: 0 * p[:, 0]}, gate))
    history = model.fit(Y_TRUE, Y_PRED, epochs=2, verbose=0, callbacks=[bl.keras.MetricMonitor(gate)]).history
    assert [loss > 0 for loss in history["loss"]] == [True, False]


def test_as_keras_loss_refuses_a_trainable_gate():
    with pytest.raises(ValueError, match=r"no optimizer sees the blend. Use `BlendedModel"):
        bl.Blend(LOSSES, bl.gates.Learned()).as_keras_loss(0)


def test_mode_of_the_step_needs_it_too():
    blend = fixed(mode=bl.modes.Annealed(bl.schedules.linear(1.0, 0.1, steps=3)))
    with pytest.raises(ValueError, match="the mode Annealed follows the step"):
        blend(Y_TRUE, Y_PRED)
