"""Values of schedules: golden values, shapes, every kind of step, and every regime."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss.schedules as schedules
from tests.schedules.golden import ROWS, Row
from tests.schedules.ramps import every_ramp, every_row, sample

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
