"""The harness' own arithmetic: known answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.blocks import MOST, calls_to_fill, interleaved
from benchmarks.harness.statistics import Ratio, paired, spread
from benchmarks.harness.worker import difference


def test_a_constant_ratio_has_no_width() -> None:
    base = np.array([1.0, 2.0, 4.0])
    assert paired(2 * base, base) == (2.0, 2.0, 2.0)


def test_one_block_has_no_interval() -> None:
    assert paired(np.array([3.0]), np.array([2.0])) == (1.5, 1.5, 1.5)


def test_ratios_are_paired_block_by_block() -> None:
    # Blocks that differ tenfold, in each the arm takes 1.1 times as long: unpaired medians would drown in the spread.
    base = np.array([1.0, 10.0, 3.0, 7.0, 2.0])
    assert paired(1.1 * base, base) == pytest.approx((1.1, 1.1, 1.1), rel=1e-12)


def test_an_outlier_does_not_move_the_median() -> None:
    base = np.ones(9)
    times = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 100.0])
    ratio = paired(times, base)
    assert ratio.median == 1.4
    assert 1.0 <= ratio.low < 1.4 < ratio.high < 100


def test_the_interval_covers_the_true_median() -> None:
    # 200 runs of 20 blocks of log-normal noise around 1.5. The percentile bootstrap of a median covers about 95 %; the
    # standard error of the share is sqrt(0.95 0.05 / 200) = 0.015, three of them 0.046.
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        times = 1.5 * np.exp(0.1 * random.standard_normal(20))
        ratio = paired(times, np.ones(20), seed)
        covered += ratio.low <= 1.5 <= ratio.high
    assert 0.95 - 0.046 <= covered / 200 <= 0.95 + 0.046


@pytest.mark.parametrize(
    ("ratio", "noise", "differs"),
    [
        (Ratio(1.2, 1.15, 1.25), Ratio(1.0, 0.98, 1.02), True),
        (Ratio(0.8, 0.75, 0.85), Ratio(1.0, 0.98, 1.02), True),
        (Ratio(1.01, 1.0, 1.03), Ratio(1.0, 0.98, 1.02), False),
        (Ratio(1.2, 1.15, 1.25), Ratio(1.1, 0.9, 1.2), False),
        # The base differs from itself by 4 to 6 %: what lies between that and 1 is noise, too.
        (Ratio(1.03, 1.02, 1.035), Ratio(1.05, 1.04, 1.06), False),
        (Ratio(0.97, 0.96, 0.98), Ratio(1.05, 1.04, 1.06), True),
        (Ratio(1.2, 1.15, 1.25), None, False),
    ],
)
def test_differences_within_the_noise_are_not_claimed(ratio: Ratio, noise: Ratio | None, differs: bool) -> None:
    assert ratio.differs(noise) is differs


def test_quantiles_of_times() -> None:
    assert spread(np.arange(11.0)[::-1]) == (0.0, 2.0, 5.0, 8.0)


def test_difference_is_relative_to_the_largest_element() -> None:
    assert difference(np.array([10.0, 1.5]), np.array([10.0, 1.0])) == 0.05
    assert difference(np.zeros(2), np.zeros(2)) == 0
    assert np.isnan(difference(np.array([np.nan]), np.array([1.0])))
    with pytest.raises(ValueError, match="shape"):
        difference(np.zeros([2, 1]), np.zeros(2))


# Blocks


def clocked(seconds: float) -> tuple[list[int], Callable[[int], dict[str, Any]]]:
    """An arm of which a call takes so long, by a clock of its own; and the calls it was asked for."""
    asked: list[int] = []

    def run(calls: int) -> dict[str, float]:
        asked.append(calls)
        return {"seconds": calls * seconds, "traces": 2 * calls}

    return asked, run


@pytest.mark.parametrize(("seconds", "calls"), [(0.001, 50), (0.03, 2), (0.2, 1), (30.0, 1), (1e-9, MOST)])
def test_a_block_has_enough_calls_for_its_time(seconds: float, calls: int) -> None:
    assert calls_to_fill(clocked(seconds)[1], 0.05) == calls


def test_every_arm_runs_once_a_block_in_an_order_that_varies() -> None:
    arms = {name: clocked(0.01)[1] for name in "abcd"}
    samples = list(interleaved(arms, blocks=20, seconds=0.05, seed=0))
    orders = [tuple(one["arm"] for one in samples[4 * block : 4 * block + 4]) for block in range(20)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len(set(orders)) > 10
    assert [one["block"] for one in samples] == [block for block in range(20) for _ in "abcd"]
    assert all(one["calls"] == 5 and one["seconds"] == pytest.approx(0.01) and one["traces"] == 10 for one in samples)


def test_the_seed_decides_the_order() -> None:
    first, again, other = (
        [one["arm"] for one in interleaved({name: clocked(1)[1] for name in "abcd"}, 5, 0.05, seed)]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_an_arm_that_raises_is_left_out_from_then_on() -> None:
    def tires(calls: int) -> dict[str, float]:
        if calls_left.pop() == 0:
            raise RuntimeError("tired")
        return {"seconds": calls * 0.1}

    calls_left = list(range(6))  # the trial, and then two a block
    samples = list(interleaved({"tires": tires, "steady": clocked(0.1)[1]}, blocks=6, seconds=0.05, seed=0))
    assert [one for one in samples if one["event"] == "failed"] == [
        {"event": "failed", "arm": "tires", "error": "RuntimeError: tired"}
    ]
    assert sum(one["event"] == "time" and one["arm"] == "tires" for one in samples) == 2
    assert sum(one["arm"] == "steady" for one in samples) == 6
