"""A user's table: a CSV file, read strictly. Errors say in one line what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blendloss._command.csv_file import (
    first_text,
    header,
    numbers,
    read_columns,
    require_columns,
    require_finite,
    require_present,
)
from blendloss._command.demo.problem import TEST, TRAIN, VALIDATION, RawTable, digest
from blendloss.console.errors import UserError

_MAX_CATEGORIES = 200
_MIN_ROWS = 200
_SPLIT = (0.70, 0.15)  # training and validation; the rest is the test part
_SPLIT_SEED = 0


def read_table(path: Path, target: str, drop: tuple[str, ...] = ()) -> RawTable:
    """The table in the CSV file `path`, with the column `target` to predict, without the columns `drop`.

    Raises:
        UserError: if a network could not be trained on it.
    """
    names = header(path)
    features = _features(names, target, drop)
    frame = read_columns(path, names, [name for name in names if name == target or name in features])
    rows = len(frame)
    if rows < _MIN_ROWS:
        raise UserError(f"{path} has {rows} rows: at least {_MIN_ROWS} are needed to train, validate and test")
    read = {name: numbers(frame[name]) for name in features}
    finite = {name: _finite(name, values) for name, values in read.items() if values is not None}
    texts = {name: _categories(name, frame[name]) for name in features if name not in finite}
    part = _random_split(rows)
    counts = [f"{np.count_nonzero(part == which):,}" for which in (TRAIN, VALIDATION, TEST)]
    return RawTable(
        numbers=finite,
        texts=texts,
        target=_target(target, frame[target], part),
        part=part,
        predicts=target,
        unit=f"units of {target}",
        story=f"{rows:,} rows of {path.name}, to predict {target}; columns of numbers: {len(finite)}, of categories: "
        f"{len(texts)}. Split at random: train {counts[0]}, validate {counts[1]}, test {counts[2]}.",
        digest=digest(path),
    )


def _features(names: list[str], target: str, drop: tuple[str, ...]) -> list[str]:
    require_columns(names, [target, *drop])
    if target in drop:
        raise UserError(f"the target {target!r} cannot be dropped")
    features = [name for name in names if name != target and name not in drop]
    if not features:
        raise UserError(f"no columns are left to predict {target!r} from: drop fewer")
    return features


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    return require_finite(name, values, _fill_in(name))


def _fill_in(name: str) -> str:
    return f"fill them in, or leave the column out with --drop {name}"


def _categories(name: str, column: Any) -> np.ndarray:
    require_present(name, column, _fill_in(name))
    number = column.nunique()
    if number > _MAX_CATEGORIES:
        example = str(column.iloc[0])[:30]
        raise UserError(
            f"the column {name!r} is text ({example!r}, ...) with {number:,} different values, and at most "
            f"{_MAX_CATEGORIES} are taken as categories: leave it out with --drop {name}"
        )
    # Numbers in the order of the texts. NumPy would pad each text to the length of the longest.
    return np.unique(column.astype(str).to_numpy(dtype=object), return_inverse=True)[1]


def _target(name: str, column: Any, part: np.ndarray) -> np.ndarray:
    found = numbers(column)
    if found is None:
        raise UserError(
            f"the target {name!r} must be numbers; {first_text(column)}: choose another --target, or correct it"
        )
    values = require_finite(name, found, "remove or correct these rows")
    if np.abs(values).max() > 1e30:
        raise UserError(f"the target {name!r} goes up to {np.abs(values).max():.2g}: scale it to less than 1e30")
    if np.ptp(values[part == TRAIN]) == 0:
        raise UserError(
            f"the target {name!r} is {values[part == TRAIN][0]:g} in every training row: nothing to predict"
        )
    return values


def _random_split(rows: int) -> np.ndarray:
    order = np.random.default_rng(_SPLIT_SEED).permutation(rows) / rows
    return np.where(order < _SPLIT[0], TRAIN, np.where(order < sum(_SPLIT), VALIDATION, TEST))
