"""A user's own table: a CSV file, read strictly. What is wrong with it is said in one line, with what to do."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from blendloss._cli._errors import UserError
from blendloss._demo._problem import TEST, TRAIN, VALIDATION, RawTable, digest

_MAX_BYTES = 1 << 30
_MAX_ROWS = 2_000_000
_MAX_COLUMNS = 500
_MAX_CATEGORIES = 200
_MIN_ROWS = 200
_SPLIT = (0.70, 0.15)  # training, validation; the rest is for the test
_SPLIT_SEED = 0


def read_table(path: Path, target: str, drop: tuple[str, ...] = ()) -> RawTable:
    """The table in the CSV file `path`, with the column `target` to predict, without the columns `drop`.

    Raises:
        UserError: for anything in it that a network could not be trained on.
    """
    _check_file(path)
    names = _header(path)
    features = _features(names, target, drop)
    _check_rows(path, len(names))
    frame = _read(path, [name for name in names if name == target or name in features])
    rows = len(frame)
    if rows < _MIN_ROWS:
        raise UserError(f"{path} has {rows} rows: at least {_MIN_ROWS} are needed to train, validate and test")
    read = {name: _numbers(frame[name]) for name in features}
    numbers = {name: _finite(name, values) for name, values in read.items() if values is not None}
    texts = {name: _categories(name, frame[name]) for name in features if name not in numbers}
    part = _random_split(rows)
    counts = [f"{np.count_nonzero(part == which):,}" for which in (TRAIN, VALIDATION, TEST)]
    return RawTable(
        numbers=numbers,
        texts=texts,
        target=_target(target, frame[target], part),
        part=part,
        predicts=target,
        unit=f"units of {target}",
        story=f"{rows:,} rows of {path.name}, to predict {target}; columns of numbers: {len(numbers)}, of categories: "
        f"{len(texts)}. Split at random: train {counts[0]}, validate {counts[1]}, test {counts[2]}.",
        digest=digest(path),
    )


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise UserError(
            f"{path} has {size / 2**30:.1f} GiB: at most {_MAX_BYTES >> 30} GiB are read; give a sample of it"
        )
    if size == 0:
        raise UserError(f"{path} is empty: a CSV file with a header is needed")
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if b"\0" in start or start[:2] in (b"\x1f\x8b", b"PK"):
        raise UserError(f"{path} is not a CSV file: it holds binary data (unpack it, or export it as CSV in UTF-8)")


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, strict=True), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file: its header cannot be read ({error})") from error
    if len(names) < 2:
        raise UserError(f"{path} has one column, {names!r}: a header with names separated by commas is needed")
    if len(names) > _MAX_COLUMNS:
        raise UserError(f"{path} has {len(names):,} columns: at most {_MAX_COLUMNS} are read")
    if not all(name.strip() for name in names):
        raise UserError(
            f"{path}: column {[not name.strip() for name in names].index(True) + 1} has no name in the header"
        )
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise UserError(f"{path} has the column {twice[0]!r} more than once: rename or remove one")
    return names


def _check_rows(path: Path, columns: int) -> None:
    """Every row must be as long as the header: pandas fills up short ones, and cuts long ones, without a word."""
    rows = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if row and len(row) != columns:
                    raise UserError(
                        f"{path}: line {reader.line_num} has {len(row)} fields, and the header has {columns}"
                    )
                rows += 1
                if rows > _MAX_ROWS + 1:
                    raise UserError(
                        f"{path} has more than {_MAX_ROWS:,} rows, the most that are read: give a sample of it"
                    )
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file: line {reader.line_num}: {error}") from error


def _features(names: list[str], target: str, drop: tuple[str, ...]) -> list[str]:
    for name in (target, *drop):
        if name not in names:
            raise UserError(f"there is no column {name!r}; the columns are: {', '.join(names)}")
    if target in drop:
        raise UserError(f"the target {target!r} cannot be dropped")
    features = [name for name in names if name != target and name not in drop]
    if not features:
        raise UserError(f"no columns are left to predict {target!r} from: drop fewer")
    return features


def _read(path: Path, names: list[str]) -> Any:
    import pandas as pd

    try:
        return pd.read_csv(path, usecols=names, low_memory=False, encoding="utf-8-sig")
    except pd.errors.ParserError as error:
        raise UserError(f"{path} is not a CSV file: {' '.join(str(error).split())}") from error


def _numbers(column: Any) -> np.ndarray | None:
    """A column of numbers, float64; None for text. What pandas takes for text may be whole numbers beyond 64 bits."""
    if column.dtype.kind in "biuf":
        return np.asarray(column.to_numpy(np.float64))
    given = column.dropna().astype(str)
    if len(given) and given.str.fullmatch(r"\s*[+-]?[0-9]+\s*").all():
        return np.array([float(str(value)) for value in column])  # `float` of too large an int would raise
    return None


def _finite(name: str, values: np.ndarray, advice: str | None = None) -> np.ndarray:
    """Raises unless all numbers of a column are finite."""
    advice = advice or f"fill them in, or leave the column out with --drop {name}"
    for what, bad in (("missing (empty or NaN)", np.isnan(values)), ("infinite", np.isinf(values))):
        if bad.any():
            raise UserError(f"the column {name!r} is {what} in {_rows(bad)}: {advice}")
    return values


def _categories(name: str, column: Any) -> np.ndarray:
    missing = column.isna().to_numpy()
    if missing.any():
        raise UserError(
            f"the column {name!r} is missing (empty or NaN) in {_rows(missing)}: fill them in, or leave the column out "
            f"with --drop {name}"
        )
    number = column.nunique()
    if number > _MAX_CATEGORIES:
        example = str(column.iloc[0])[:30]
        raise UserError(
            f"the column {name!r} is text ({example!r}, ...) with {number:,} different values, and at most "
            f"{_MAX_CATEGORIES} are taken as categories: leave it out with --drop {name}"
        )
    # Numbers in the order of the texts, of which NumPy would make each as long as the longest.
    return np.unique(column.astype(str).to_numpy(dtype=object), return_inverse=True)[1]


def _target(name: str, column: Any, part: np.ndarray) -> np.ndarray:
    numbers = _numbers(column)
    if numbers is None:
        index = next((row for row, value in enumerate(column) if not _is_number(value)), 0)
        raise UserError(
            f"the target {name!r} must be numbers; row {index + 1} holds {str(column.iloc[index])[:30]!r}: "
            "choose another --target, or mend it"
        )
    values = _finite(name, numbers, "remove or mend these rows")
    if np.abs(values).max() > 1e30:
        raise UserError(f"the target {name!r} goes up to {np.abs(values).max():.2g}: scale it to less than 1e30")
    if np.ptp(values[part == TRAIN]) == 0:
        raise UserError(
            f"the target {name!r} is {values[part == TRAIN][0]:g} in every training row: nothing to predict"
        )
    return values


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _rows(bad: np.ndarray) -> str:
    number = int(np.count_nonzero(bad))
    return f"{number:,} of {len(bad):,} rows (first: row {int(np.argmax(bad)) + 1})"


def _random_split(rows: int) -> np.ndarray:
    order = np.random.default_rng(_SPLIT_SEED).permutation(rows) / rows
    return np.where(order < _SPLIT[0], TRAIN, np.where(order < sum(_SPLIT), VALIDATION, TEST))


def _not_utf8(path: Path) -> UserError:
    return UserError(f"{path} is not text in UTF-8: export it as CSV in UTF-8")
