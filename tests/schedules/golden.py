"""One row per schedule: the values it must give, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

import blendloss.schedules as schedules
from blendloss.schedules import Schedule

E = math.e


class Row(NamedTuple):
    id: str  # the factory's name, then what is special about the row
    make: Callable[[], Schedule]
    steps: Sequence[float]
    expected: Sequence[float | Sequence[float]]


ROWS = [
    Row("constant", lambda: schedules.constant(0.5), [-1, 0, 10**9], [0.5, 0.5, 0.5]),
    Row("constant-vector", lambda: schedules.constant([1, 2, 3]), [0], [[1.0, 2.0, 3.0]]),
    Row("linear", lambda: schedules.linear(1.0, 0.0, steps=4), [-7, 0, 1, 2, 3, 4, 99], [1, 1, 0.75, 0.5, 0.25, 0, 0]),
    Row("linear-begin", lambda: schedules.linear(0.0, 10.0, steps=10, begin=5), [4, 5, 6, 15, 16], [0, 0, 1, 10, 10]),
    Row("linear-under-way", lambda: schedules.linear(0.0, 1.0, steps=4, begin=-2), [0, 1, 2], [0.5, 0.75, 1.0]),
    Row("linear-vector", lambda: schedules.linear([1, 0], [0, 2], steps=2), [0, 1, 2], [[1, 0], [0.5, 1], [0, 2]]),
    Row("linear-fraction", lambda: schedules.linear(0.0, 1.0, steps=1), [0.25, 0.5], [0.25, 0.5]),
    Row(
        "cosine",
        lambda: schedules.cosine(1.0, 0.0, steps=12),
        [0, 2, 3, 4, 6, 8, 12, 13],
        [1, (2 + math.sqrt(3)) / 4, (2 + math.sqrt(2)) / 4, 0.75, 0.5, 0.25, 0, 0],
    ),
    Row("cosine-small-rest", lambda: schedules.cosine(1.0, 0.0, steps=10**6), [10**6 - 1], [2.4674011e-12]),
    Row("cosine-small-start", lambda: schedules.cosine(0.0, 1.0, steps=10**6), [1], [2.4674011e-12]),
    Row(
        "exponential",
        lambda: schedules.exponential(1.0, 16.0, steps=4),
        [-1, 0, 1, 2, 3, 4, 5],
        [1, 1, 2, 4, 8, 16, 16],
    ),
    Row("exponential-negative", lambda: schedules.exponential(-1.0, -0.01, steps=2), [0, 1, 2], [-1, -0.1, -0.01]),
    Row(
        "exponential-30-decades",
        lambda: schedules.exponential(5.0, 5e-30, steps=30),
        [1, 15, 29, 30],
        [0.5, 5e-15, 5e-29, 5e-30],
    ),
    Row(
        "polynomial",
        lambda: schedules.polynomial(1.0, 0.0, steps=4, power=2),
        [-1, 0, 1, 2, 3, 4, 5],
        [1, 1, 9 / 16, 1 / 4, 1 / 16, 0, 0],
    ),
    Row("polynomial-root", lambda: schedules.polynomial(0.0, 8.0, steps=4, power=0.5), [0, 3, 4], [0, 4, 8]),
    Row("polynomial-small-start", lambda: schedules.polynomial(0.0, 1.0, steps=10**9, power=3), [1], [3e-9]),
    Row(
        "sigmoid",
        lambda: schedules.sigmoid(0.0, 1.0, center=100, width=10),
        [-(10**6), 90, 100, 110, 10**6],
        [0, 1 / (1 + E), 0.5, E / (1 + E), 1],
    ),
    Row("sigmoid-vector", lambda: schedules.sigmoid([2, 0], [0, 4], center=1.5, width=1), [1.5], [[1, 2]]),
    Row("switch_at", lambda: schedules.switch_at(1_000), [0, 999, 999.5, 1_000, 1_001], [0, 0, 0, 1, 1]),
    Row("switch_at-vector", lambda: schedules.switch_at(3, before=[1, 0], after=[0, 1]), [2, 3], [[1, 0], [0, 1]]),
    Row("switch_at-2^24+1", lambda: schedules.switch_at(2**24 + 1), [2**24, 2**24 + 1, 2**24 + 2], [0, 1, 1]),
    Row("switch_at-2^40+1", lambda: schedules.switch_at(2**40 + 1), [2**40, 2**40 + 1], [0, 1]),
    Row("piecewise", lambda: schedules.piecewise([2, 5], [1, 3, 2]), [-1, 0, 1, 2, 4, 5, 9], [1, 1, 1, 3, 3, 2, 2]),
    Row("piecewise-vector", lambda: schedules.piecewise([1], [[1, 0], [0, 1]]), [0, 1], [[1, 0], [0, 1]]),
    Row(
        "cyclic",
        lambda: schedules.cyclic(schedules.linear(0.0, 1.0, steps=2), period=4),
        [0, 1, 2, 3, 4, 5, 10**9 + 1],
        [0, 0.5, 1, 1, 0, 0.5, 0.5],
    ),
    Row(
        "join",
        lambda: schedules.join([schedules.linear(0.0, 1.0, steps=2), schedules.linear(1.0, 0.0, steps=4), 7.0], [2, 8]),
        [-1, 0, 1, 2, 3, 5, 6, 7, 8, 9],
        [0, 0, 0.5, 1, 0.75, 0.25, 0, 0, 7, 7],
    ),
    Row(
        "wrap",
        lambda: schedules.wrap(keras.optimizers.schedules.PolynomialDecay(1.0, decay_steps=4, end_learning_rate=0.0)),
        [0, 1, 4, 5],
        [1, 0.75, 0, 0],
    ),
]
