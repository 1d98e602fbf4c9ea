"""Schedules as objects: saving, representation, equality, and what is accepted as a schedule."""

from __future__ import annotations

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss.schedules as schedules
from blendloss.schedules import Schedule, as_schedule
from tests.schedules.golden import ROWS, Row
from tests.schedules.ramps import every_row


@every_row
def test_serialization_round_trip(row: Row) -> None:
    schedule = row.make()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    restored = keras.saving.deserialize_keras_object(config)
    assert restored == schedule == copy.deepcopy(schedule)
    assert hash(restored) == hash(schedule)
    assert repr(restored) == repr(schedule)
    np.testing.assert_array_equal(restored(row.steps[-1]), schedule(row.steps[-1]))


@every_row
def test_pickle(row: Row) -> None:
    schedule = row.make()
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize("row", [row for row in ROWS if not row.id.startswith("wrap")], ids=lambda row: row.id)
def test_repr_is_the_call(row: Row) -> None:
    schedule = row.make()
    assert eval(repr(schedule), vars(schedules)) == schedule


def test_repr_leaves_defaults_out() -> None:
    assert repr(schedules.cosine(1, 0, steps=1000)) == "cosine(1.0, 0.0, steps=1000)"
    assert (
        repr(schedules.linear([1, 0], [0, 1], steps=3, begin=2)) == "linear([1.0, 0.0], [0.0, 1.0], steps=3, begin=2)"
    )
    assert repr(schedules.switch_at(9, after=2)) == "switch_at(9, after=2.0)"


def test_equality_is_by_arguments() -> None:
    assert schedules.linear(0, 1, steps=3) == schedules.linear(0.0, np.float32(1), steps=np.int64(3), begin=0)
    assert schedules.linear(0, 1, steps=3) != schedules.linear(0, 1, steps=4)
    assert schedules.linear(0, 1, steps=3) != schedules.cosine(0, 1, steps=3)
    assert schedules.constant(1) != 1.0
    assert len({schedules.constant(1), schedules.constant(1.0), schedules.constant([1.0])}) == 2


def test_schedules_are_immutable() -> None:
    given_values = [1.0, 2.0]
    schedule = schedules.constant(given_values)
    given_values[0] = 9.0
    schedule.get_config()["arguments"]["value"][0] = 9.0
    assert schedule == schedules.constant([1.0, 2.0])
    with pytest.raises(AttributeError):
        schedule.name = "linear"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["Schedule", "as_schedule", "wrap.__globals__", "__builtins__", "nosuch"])
def test_a_saved_name_of_no_schedule_raises(name: str) -> None:
    with pytest.raises(ValueError, match="must be a factory of `blendloss.schedules`"):
        Schedule.from_config({"name": name, "arguments": {}})


@keras.saving.register_keras_serializable(package="tests")
def _halving(step):
    return 0.5**step


def test_a_registered_function_is_saved_and_another_is_not() -> None:
    schedule = as_schedule("gate", _halving)
    assert repr(schedule) == "wrap(_halving)"
    assert float(schedule(2)) == 0.25
    assert Schedule.from_config(schedule.get_config()) == schedule

    unsaved = as_schedule("gate", lambda step: [0.5, 0.5])
    assert unsaved(0).shape == (2,)
    with pytest.raises(ValueError, match="registered"):
        unsaved.get_config()


def test_a_keras_schedule_is_accepted_as_it_is() -> None:
    decay = keras.optimizers.schedules.ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5)
    schedule = as_schedule("temperature", decay)
    assert [float(schedule(step)) for step in (0, 10, 20)] == [1.0, 0.5, 0.25]
    assert repr(schedule).startswith("wrap(ExponentialDecay(initial_learning_rate=1.0, decay_steps=10")


def test_as_schedule_takes_numbers_and_lists() -> None:
    made = schedules.linear(0, 1, steps=2)
    assert as_schedule("gate", made) is made
    assert as_schedule("gate", 2) == as_schedule("gate", np.float32(2)) == schedules.constant(2.0)
    assert as_schedule("gate", (1, 2)) == as_schedule("gate", np.array([1, 2])) == schedules.constant([1.0, 2.0])


@pytest.mark.parametrize("value", [None, "cosine", True, {}, 1j, Schedule, [None], ["a"]], ids=repr)
def test_as_schedule_names_the_argument(value) -> None:
    with pytest.raises(TypeError, match=r"`temperature(\[0\])?` must be"):
        as_schedule("temperature", value)


def test_a_function_with_too_many_axes_raises() -> None:
    with pytest.raises(ValueError, match="must be a scalar or a vector"):
        schedules.wrap(lambda step: tf.ones([2, 2]))(0)
