"""Plateau against Keras's ReduceLROnPlateau, Threshold against Schmitt triggers, both in graphs and eagerly."""

from __future__ import annotations

import itertools
import types
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from blendloss import gates
from tests.gates.instances import attached

NAN = float("nan")


def sequences(seed: int, length: int = 60) -> np.ndarray:
    """A metric that falls, stays and jumps about, in multiples of 1/16, which float32 and float64 hold alike."""
    rng = np.random.default_rng(seed)
    falling = 4 * np.exp(-np.arange(length) / 15) + rng.choice([0, 0.5, 1.0], length) * rng.normal(size=length)
    return np.round(falling * 16) / 16


def stages_of(made, metrics) -> list[list[int]]:
    """The stages of several gates after each observation, observed inside one graph."""

    @tf.function
    def observe(metric):
        for gate in made:
            gate.observe(metric)
        return tf.stack([tf.convert_to_tensor(gate.stage) for gate in made])

    return [observe(tf.constant(metric, tf.float32)).numpy().tolist() for metric in metrics]


def stages(gate, metrics) -> list[int]:
    return [stage for (stage,) in stages_of([gate], metrics)]


# Plateau


def switches_of_keras(metrics, patience, min_delta, cooldown, mode) -> list[int]:
    """How many times `ReduceLROnPlateau` has halved the learning rate, after each epoch."""
    model = types.SimpleNamespace(optimizer=keras.optimizers.SGD(1.0))
    callback = keras.callbacks.ReduceLROnPlateau(
        "m", factor=0.5, patience=patience, min_delta=min_delta, cooldown=cooldown + 1, mode=mode, min_lr=0
    )
    callback.set_model(model)
    callback.on_train_begin()
    counts = []
    for epoch, metric in enumerate(metrics):
        callback.on_epoch_end(epoch, {"m": metric})
        counts.append(round(-np.log2(float(model.optimizer.learning_rate))))
    return counts


SETTINGS = list(itertools.product([1, 2, 4], [0.0, 0.25], [0, 1, 3], ["min", "max"]))


@pytest.mark.parametrize(
    ("patience", "min_delta", "cooldown", "direction"), SETTINGS[::2] + SETTINGS[1::6], ids=lambda value: str(value)
)
def test_plateau_switches_when_keras_reduces_the_learning_rate(patience, min_delta, cooldown, direction):
    options = {"patience": patience, "min_delta": min_delta, "cooldown": cooldown, "direction": direction}
    made = [attached(partial(gates.Plateau, "m", cyclic=cyclic, **options), 3) for cyclic in (False, True)]
    metrics = sequences(seed=patience + 10 * cooldown)
    if direction == "max":
        metrics = -metrics
    metrics[[20, 41, 42]] = NAN
    counts = np.array(switches_of_keras(metrics, patience, min_delta, cooldown, direction))
    assert counts[-1] > 3
    expected = np.stack([np.minimum(counts, 2), counts % 3], -1)
    assert stages_of(made, metrics) == expected.tolist()


def test_plateau_cooldown_observations_do_not_count():
    gate = attached(lambda: gates.Plateau("m", patience=1, cooldown=2), 4)
    assert stages(gate, [1.0] * 8) == [0, 1, 1, 1, 2, 2, 2, 3]


def test_plateau_keeps_the_best_across_switches_and_cooldown():
    gate = attached(lambda: gates.Plateau("m", patience=1, cooldown=1), 4)
    assert stages(gate, [5, 5, 1, 4, 0.5]) == [0, 1, 1, 2, 2]
    assert float(gate.best) == 0.5


def test_nan_from_the_start_is_a_plateau():
    gate = attached(lambda: gates.Plateau("m", patience=2), 2)
    assert stages(gate, [NAN, NAN]) == [0, 1]
    assert float(gate.best) == np.inf


# Threshold


class SchmittTriggers:
    """One trigger a threshold: on above it, off below it by more than the band, and else as it was."""

    def __init__(self, thresholds, sign, band, patience, cooldown, returns):
        self.thresholds = [sign * t for t in thresholds]
        self.sign, self.band, self.patience, self.cooldown, self.returns = sign, band, patience, cooldown, returns
        self.on, self.waited, self.cooling = [False] * len(thresholds), 0, 0

    def observe(self, metric):
        metric = self.sign * metric
        wanted = []
        for threshold, on in zip(self.thresholds, self.on, strict=True):
            if metric > threshold:
                wanted.append(True)
            elif metric < threshold - self.band and self.returns:
                wanted.append(False)
            else:  # NaN comes here too
                wanted.append(on)
        if self.cooling > 0:
            self.cooling -= 1
            self.waited = 0
        elif wanted == self.on:
            self.waited = 0
        else:
            self.waited += 1
            if self.waited >= self.patience:
                self.on, self.waited, self.cooling = wanted, 0, self.cooldown
        return sum(self.on)


CASES = [
    ("falling", [1.5], 0.0, 1, 0, True),
    ("falling", [1.5], 0.5, 1, 0, True),
    ("falling", [3.0, 2.0, 0.75], 0.25, 1, 0, True),
    ("falling", [3.0, 2.0, 0.75], 1.5, 2, 1, True),
    ("falling", [3.0, 1.0], 0.25, 1, 2, False),
    ("rising", [-3.0, -2.0, -0.75], 0.25, 1, 0, True),
    ("rising", [-2.0, 0.5], 0.5, 2, 3, True),
    ("rising", [-2.0], 0.0, 3, 0, False),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("direction", "thresholds", "band", "patience", "cooldown", "returns"), CASES, ids=str)
def test_threshold_is_a_row_of_schmitt_triggers(direction, thresholds, band, patience, cooldown, returns, seed):
    sign = 1 if direction == "rising" else -1
    gate = attached(
        lambda: gates.Threshold(
            "m",
            thresholds,
            direction=direction,
            hysteresis=band,
            patience=patience,
            cooldown=cooldown,
            returns=returns,
        ),
        len(thresholds) + 1,
    )
    metrics = -sign * sequences(seed)
    metrics[[7, 30]] = NAN
    triggers = SchmittTriggers(thresholds, sign, band, patience, cooldown, returns)
    expected = [triggers.observe(metric) for metric in metrics]
    assert len(set(expected)) > 1
    assert stages(gate, metrics) == expected


@pytest.mark.parametrize(
    ("options", "metrics", "expected"),
    [
        ({}, [2, 1, 0.5, 1, 1.5], [0, 0, 1, 1, 0]),  # at the threshold nothing has been passed, either way
        ({"hysteresis": 1.0}, [0.5, 2.0, 2.25], [1, 1, 0]),  # the band's edge still holds
        ({"patience": 2}, [0.5, 2, 0.5, 0.5, 2, 2], [0, 0, 0, 1, 1, 0]),
        ({"cooldown": 2}, [0.5, 2, 2, 2], [1, 1, 1, 0]),
        ({"returns": False}, [0.5, 9.0, 0.5], [1, 1, 1]),
        ({"patience": 2}, [0.5, NAN, 0.5, 0.5], [0, 0, 0, 1]),  # NaN asks for nothing, and so ends the row
        ({}, [-np.inf, np.inf], [1, 0]),
    ],
    ids=["plain", "hysteresis", "patience", "cooldown", "no-return", "nan", "infinite"],
)
def test_threshold_by_hand(options, metrics, expected):
    assert stages(attached(lambda: gates.Threshold("m", [1.0], **options), 2), metrics) == expected


def test_threshold_jumps_over_stages_both_ways():
    gate = attached(lambda: gates.Threshold("m", [3, 2, 1]), 4)
    assert stages(gate, [5, 0.5, 2.5, 9, 1.5]) == [0, 3, 1, 0, 2]


# Observing


@pytest.mark.parametrize(
    "make", [lambda: gates.Plateau("m", patience=2, cooldown=1), lambda: gates.Threshold("m", [2, 1], hysteresis=0.5)]
)
def test_observing_eagerly_and_in_a_graph_is_the_same(make):
    eager, graph = attached(make, 3), attached(make, 3)
    metrics = sequences(5, 20)
    seen = []
    for metric in metrics:
        eager.observe(float(metric))
        seen.append(int(eager.stage))
    assert seen == stages(graph, metrics)
    for a, b in zip(eager.variables, graph.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "one",
    [0.5, np.float64(0.5), np.float32(0.5), tf.constant(0.5, tf.float64), tf.Variable(0.5), 0],
    ids=["float", "float64", "float32", "tensor", "variable", "integer"],
)
def test_every_kind_of_number_can_be_observed(one):
    gate = attached(lambda: gates.Threshold("m", [1.0]), 2)
    gate.observe(one)
    assert int(gate.stage) == 1


def test_a_vector_cannot_be_observed():
    with pytest.raises(ValueError, match=r"`metric` must be a scalar. Received: shape \(2,\)"):
        attached(lambda: gates.Plateau("m"), 2).observe([1.0, 2.0])


def test_a_float64_gate_keeps_the_metrics_digits():
    gate = attached(lambda: gates.Threshold("m", [0.1 + 1e-12], dtype="float64"), 2)
    gate.observe(0.1 + 2e-12)
    assert int(gate.stage) == 0
    gate.observe(0.1)
    assert int(gate.stage) == 1
