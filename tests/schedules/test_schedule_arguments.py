"""Arguments of schedules: mistakes are named, and whatever is accepted gives a ramp."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import blendloss.schedules as schedules
from blendloss.schedules import Schedule
from tests.schedules.ramps import RAMPS

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
