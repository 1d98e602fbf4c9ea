"""Schedules: golden values, properties, every kind of step, every regime."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from collections.abc import Sequence

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import blendloss.schedules as schedules
from blendloss.schedules import Schedule, as_schedule
from tests.schedules.golden import ROWS, Row

RAMPS = {
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "exponential": schedules.exponential,
    "polynomial": functools.partial(schedules.polynomial, power=0.9),
}

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
every_ramp = pytest.mark.parametrize("ramp", RAMPS.values(), ids=RAMPS)


def sample(schedule: Schedule, steps: Sequence[float] | np.ndarray, **options: bool) -> np.ndarray:
    """The values at `steps`, one graph for all of them."""
    function = tf.function(lambda every: tf.map_fn(schedule, every, fn_output_signature=tf.float32), **options)
    return function(tf.constant(steps, tf.float64)).numpy()


# Values


@every_row
def test_golden(row: Row) -> None:
    schedule = row.make()
    values = np.stack([schedule(step) for step in row.steps])
    assert values.dtype == np.float32
    np.testing.assert_array_almost_equal_nulp(values, np.asarray(row.expected, np.float32), nulp=2)


def test_every_factory_has_a_golden_row() -> None:
    covered = {row.id.partition("-")[0] for row in ROWS}
    assert covered == set(schedules.__all__) - {"Schedule", "as_schedule"}


@every_ramp
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("steps", [49, 2**24 + 1])  # steps * (1 / steps) < 1 in float64; float32 stops counting
def test_ends_are_exact(ramp, jit_compile: bool, steps: int) -> None:
    start, end = np.float32([0.1, 5.0, 1e30, -3.3]), np.float32([0.7, 1e-30, 0.3, -1.1])
    schedule = ramp(start, end, steps=steps, begin=7)
    values = sample(schedule, [-5.0, 0, 7, 7 + steps, 8 + steps, 1e12], jit_compile=jit_compile)
    np.testing.assert_array_equal(values, [start] * 3 + [end] * 3)


@every_ramp
@pytest.mark.parametrize(("start", "end"), [(1.0, 0.001), (0.001, 1.0)], ids=["down", "up"])
def test_ramps_are_monotone_and_stay_between_their_ends(ramp, start: float, end: float) -> None:
    values = sample(ramp(start, end, steps=1_000), np.arange(-10.0, 1_010))
    assert np.all(np.diff(values) * (end - start) >= 0)
    assert values.min() == np.float32(min(start, end))
    assert values.max() == np.float32(max(start, end))


def test_sigmoid_is_monotone_and_symmetric() -> None:
    values = sample(schedules.sigmoid(0.0, 1.0, center=50, width=3), np.arange(101.0))
    assert np.all(np.diff(values) >= 0)
    np.testing.assert_allclose(values + values[::-1], 1.0, rtol=1e-7)


@pytest.mark.parametrize("steps", [10, 1_000, 10**6])
def test_exponential_has_a_constant_ratio(steps: int) -> None:
    schedule = schedules.exponential(5.0, 1e-30, steps=steps)
    at = np.linspace(0, steps, 11)
    np.testing.assert_allclose(sample(schedule, at), 5.0 * (1e-30 / 5.0) ** (at / steps), rtol=1e-7)


@every_ramp
def test_a_vector_is_its_scalars_side_by_side(ramp) -> None:
    start, end = [1.0, 2.0, 0.5], [3.0, 0.1, 0.5]
    together = ramp(start, end, steps=10)
    alone = [ramp(a, b, steps=10) for a, b in zip(start, end, strict=True)]
    for step in (0, 3, 9, 10):
        value = together(step)
        assert value.shape == (3,)
        np.testing.assert_array_equal(value, [one(step) for one in alone])


def test_parts_of_a_join_that_are_out_of_their_range_do_not_show() -> None:
    log = schedules.wrap(tf.math.log)  # NaN and -inf before its own first step
    schedule = schedules.join([1.0, log], [10])
    assert [float(schedule(step)) for step in (0, 9, 11)] == [1.0, 1.0, 0.0]


def test_nan_is_before_everything() -> None:
    nan = float("nan")
    assert float(schedules.linear(1.0, 2.0, steps=3)(nan)) == 1.0
    assert float(schedules.switch_at(3)(nan)) == 0.0
    assert float(schedules.piecewise([3], [1, 2])(nan)) == 1.0
    assert np.isnan(schedules.sigmoid(0.0, 1.0, center=0, width=1)(nan))


# Steps


STEP_KINDS = {
    "numpy": np.int32,
    "numpy-float": np.float32,
    "array": lambda n: np.array(n),
    **{
        dtype: functools.partial(tf.constant, dtype=dtype)
        for dtype in "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64".split()
    },
    "variable": lambda n: tf.Variable(n, dtype=tf.int64),
    "keras-variable": lambda n: keras.Variable(n, dtype="int64"),
}


@pytest.mark.parametrize("kind", STEP_KINDS.values(), ids=STEP_KINDS)
def test_every_kind_of_step(kind) -> None:
    schedule = schedules.cosine(1.0, 0.0, steps=10)
    value = schedule(kind(3))
    assert value.dtype == tf.float32
    assert value.shape == ()
    assert float(value) == float(schedule(3))


def test_iterations_of_an_optimizer() -> None:
    optimizer = keras.optimizers.SGD(0.1)
    weight = keras.Variable(1.0)
    optimizer.build([weight])
    schedule = schedules.linear(0.0, 1.0, steps=4)
    seen = []
    for _ in range(3):
        seen.append(float(schedule(optimizer.iterations)))
        optimizer.apply([tf.constant(0.0)], [weight])
    assert seen == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("exponent", [24, 31, 40, 52])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_steps_are_exact_far_out(exponent: int, jit_compile: bool) -> None:
    boundary = 2**exponent + 1
    switch = tf.function(schedules.switch_at(boundary), jit_compile=jit_compile)
    cycle = tf.function(schedules.cyclic(schedules.linear(0, 4, steps=4), period=4), jit_compile=jit_compile)
    steps = [boundary - 1, boundary, boundary + 1]
    assert [float(switch(tf.constant(step, tf.int64))) for step in steps] == [0.0, 1.0, 1.0]
    assert [float(cycle(tf.constant(step, tf.int64))) for step in steps] == [0.0, 1.0, 2.0]
    assert [float(schedules.switch_at(boundary)(step)) for step in steps] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("period", [1, 7, 49, 103])  # 49 * (1 / 49) < 1 in float64
def test_cycles_start_on_time(period: int, jit_compile: bool) -> None:
    schedule = schedules.cyclic(schedules.linear(0, period, steps=period), period=period)
    steps = np.concatenate([np.arange(5 * period), 2**50 - 2**50 % period + np.arange(2 * period)])
    np.testing.assert_allclose(sample(schedule, steps, jit_compile=jit_compile), steps % period, rtol=1e-7)


@pytest.mark.parametrize("step", [True, None, "3", 1j, tf.constant(True)], ids=str)
def test_a_step_that_is_no_number_raises(step) -> None:
    with pytest.raises(TypeError, match="`step` must be a real number"):
        schedules.constant(1.0)(step)


def test_a_step_that_is_no_scalar_raises() -> None:
    schedule = schedules.linear(1.0, 0.0, steps=4)
    with pytest.raises(ValueError, match="`step` must be a scalar"):
        schedule(tf.constant([1, 2]))

    @tf.function(input_signature=[tf.TensorSpec(None, tf.int32)])
    def graph(step):
        return schedule(step)

    assert float(graph(tf.constant(1))) == 0.75
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(tf.constant([1, 2]))


# Regimes


@every_row
def test_eager_graph_and_xla_agree(row: Row) -> None:
    schedule = row.make()
    eager = np.stack([schedule(step) for step in row.steps])
    for jit_compile in (False, True):
        function = tf.function(schedule, jit_compile=jit_compile)
        values = np.stack([function(tf.constant(step, tf.float64)) for step in row.steps])
        np.testing.assert_array_almost_equal_nulp(values, eager, nulp=1)
        assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_one_trace_over_a_thousand_steps(jit_compile: bool) -> None:
    step = tf.Variable(0, dtype=tf.int64)
    schedule = schedules.join([schedules.cosine(1.0, 0.0, steps=500), schedules.cyclic(0.5, period=7)], [500])

    @tf.function(jit_compile=jit_compile)
    def train():
        step.assign_add(1)
        return schedule(step)

    values = [float(train()) for _ in range(1_000)]
    assert train.experimental_get_tracing_count() == 1
    assert values[249] == 0.5
    assert values[-1] == 0.5


# Objects


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
def test_a_saved_name_off_the_menu_raises(name: str) -> None:
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


# Arguments


BAD = [
    (lambda: schedules.linear(0, 1, steps=0), ValueError, "`steps` must be at least 1. Received: steps=0"),
    pytest.param(lambda: schedules.linear(0, 1, steps=1.0), TypeError, "`steps` must be an integer", id="float steps"),
    pytest.param(
        lambda: schedules.linear(0, 1, steps=True), TypeError, "`steps` must be an integer", id="boolean steps"
    ),
    (lambda: schedules.linear(0, 1, steps=2, begin=0.5), TypeError, "`begin` must be an integer"),
    (lambda: schedules.linear("a", 1, steps=1), TypeError, "`start` must be"),
    (lambda: schedules.linear(float("nan"), 1, steps=1), ValueError, "`start` must not be NaN"),
    (lambda: schedules.linear(0, 1e39, steps=1), ValueError, "`end` must be between 1.2e-38 and 3.4e38"),
    (lambda: schedules.linear([], [], steps=1), ValueError, "`start` must not be empty"),
    pytest.param(
        lambda: schedules.cosine(0, [1, 2], steps=1),
        ValueError,
        "`start` and `end` must have the same shape",
        id="scalar and vector",
    ),
    pytest.param(
        lambda: schedules.cosine([1, 2, 3], [1, 2], steps=1),
        ValueError,
        "`start` and `end` must have the same shape",
        id="vectors of 3 and 2",
    ),
    pytest.param(lambda: schedules.exponential(0, 1, steps=1), ValueError, "nonzero and of one sign", id="from 0"),
    (lambda: schedules.exponential(1, 1e-60, steps=1), ValueError, "`end` must be between 1.2e-38 and 3.4e38"),
    pytest.param(
        lambda: schedules.exponential([1, 1], [1, -1], steps=1),
        ValueError,
        "nonzero and of one sign",
        id="to the other sign",
    ),
    (lambda: schedules.polynomial(0, 1, steps=1, power=0), ValueError, "`power` must be positive"),
    (lambda: schedules.sigmoid(0, 1, center=0, width=0), ValueError, "`width` must be positive"),
    (lambda: schedules.sigmoid(0, 1, center=float("inf"), width=1), ValueError, "`center` must be finite"),
    (lambda: schedules.switch_at(1.5), TypeError, "`step` must be an integer"),
    (lambda: schedules.switch_at(1, after=[1, 2]), ValueError, "`before` and `after` must have the same shape"),
    (lambda: schedules.piecewise([1, 1], [1, 2, 3]), ValueError, "`boundaries` must increase strictly"),
    (lambda: schedules.piecewise([1.5], [1, 2]), TypeError, r"`boundaries\[0\]` must be an integer"),  # type: ignore[list-item]
    (lambda: schedules.piecewise([1], [1]), ValueError, "`values` must have one entry more than `boundaries`"),
    (lambda: schedules.piecewise([1], 1), TypeError, "`values` must be a list"),
    (lambda: schedules.piecewise([1], [1, [1, 2]]), ValueError, "must have the same shape"),
    (lambda: schedules.cyclic(1.0, period=0), ValueError, "`period` must be at least 1"),
    (lambda: schedules.cyclic("linear", period=1), TypeError, "`schedule` must be a schedule"),
    (lambda: schedules.join([1, 2], [0]), ValueError, r"`boundaries\[0\]` must be at least 1"),
    (lambda: schedules.join([1], [1]), ValueError, "`schedules` must have one entry more than `boundaries`"),
    (lambda: schedules.join(1, [1]), TypeError, "`schedules` must be a list of schedules"),
    (lambda: schedules.join([1, "x"], [1]), TypeError, r"`schedules\[1\]` must be a schedule"),
    (lambda: schedules.join([1, [1, 2]], [1])(0), ValueError, "`schedules` must have values of one shape"),
    (lambda: schedules.wrap(3), TypeError, "`function` must be a function of the step"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_raise(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.floats(), max_size=3)
)


@settings(max_examples=100, deadline=None)
@given(factory=st.sampled_from(list(RAMPS.values())), start=ANYTHING, end=ANYTHING, steps=ANYTHING, begin=ANYTHING)
def test_any_ramp_is_made_or_its_argument_named(factory, start, end, steps, begin) -> None:
    try:
        schedule = factory(start, end, steps=steps, begin=begin)
    except (TypeError, ValueError) as error:
        assert any(f"`{name}" in str(error) for name in ("start", "end", "steps", "begin"))
        assert "Received: " in str(error)
    else:
        assert isinstance(schedule, Schedule)


@settings(max_examples=50, deadline=None)
@given(
    start=st.floats(1e-30, 1e30),
    end=st.floats(1e-30, 1e30),
    steps=st.integers(1, 2**40),
    begin=st.integers(-(2**40), 2**40),
    factory=st.sampled_from(list(RAMPS.values())),
    share=st.floats(0, 1),
)
def test_every_ramp_holds_its_ends_and_stays_between(start, end, steps, begin, factory, share) -> None:
    schedule = factory(start, end, steps=steps, begin=begin)
    assert schedule(begin) == np.float32(start)
    assert schedule(begin + steps) == np.float32(end)
    low, high = np.float32(min(start, end)), np.float32(max(start, end))
    assert low * (1 - 1e-7) <= schedule(begin + share * steps) <= high * (1 + 1e-7)
