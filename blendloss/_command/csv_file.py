"""Strict reading of a user's CSV file. Errors say in one line what is wrong and what to do."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from blendloss.console.errors import UserError

MOST_BYTES = 1 << 30
MOST_ROWS = 2_000_000
MOST_COLUMNS = 500


def header(path: Path, fewest: int = 2) -> list[str]:
    """The names of the columns of a CSV file, at least `fewest`.

    Raises:
        UserError: if it is not a CSV file, or its header does not give every column its own name.
    """
    _check_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, strict=True), [])
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file: its header cannot be read ({error})") from error
    if len(names) < fewest:
        raise UserError(
            f"{path} has {len(names) or 'no'} column{'s' * (len(names) != 1)}, {names!r}: a header with names "
            "separated by commas is needed"
        )
    if len(names) > MOST_COLUMNS:
        raise UserError(f"{path} has {len(names):,} columns: at most {MOST_COLUMNS} are read")
    if not all(name.strip() for name in names):
        raise UserError(
            f"{path}: column {[not name.strip() for name in names].index(True) + 1} has no name in the header"
        )
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise UserError(f"{path} has the column {twice[0]!r} more than once: rename or remove one")
    return names


def require_columns(names: list[str], wanted: list[str]) -> None:
    """Raises an error unless all `wanted` columns are among `names`."""
    for name in wanted:
        if name not in names:
            raise UserError(f"there is no column {name!r}; the columns are: {', '.join(names)}")


def read_columns(path: Path, names: list[str], wanted: list[str]) -> Any:
    """The `wanted` columns as a data frame. Checks that every row is as long as the header."""
    import pandas as pd

    _check_rows(path, len(names))
    try:
        # An empty line is a missing value if there is one column; otherwise it is skipped.
        return pd.read_csv(
            path, usecols=wanted, low_memory=False, encoding="utf-8-sig", skip_blank_lines=len(names) > 1
        )
    except pd.errors.ParserError as error:
        raise UserError(f"{path} is not a CSV file: {' '.join(str(error).split())}") from error


def numbers(column: Any) -> np.ndarray | None:
    """A column of numbers as float64; None for text. Pandas reads integers beyond 64 bits as text."""
    if column.dtype.kind in "biuf":
        return np.asarray(column.to_numpy(np.float64))
    given = column.dropna().astype(str)
    if len(given) and given.str.fullmatch(r"\s*[+-]?[0-9]+\s*").all():
        return np.array([float(str(value)) for value in column])  # `float` of a too large int would raise
    return None


def first_text(column: Any) -> str:
    """The row and the text of the first value of a column that is not a number."""
    index = next((row for row, value in enumerate(column) if not _is_number(value)), 0)
    return f"row {index + 1} holds {str(column.iloc[index])[:30]!r}"


def require_finite(name: str, values: np.ndarray, advice: str) -> np.ndarray:
    """The numbers of a column; raises an error if one is missing or infinite."""
    for what, bad in (("missing (empty or NaN)", np.isnan(values)), ("infinite", np.isinf(values))):
        if bad.any():
            raise UserError(f"the column {name!r} is {what} in {_which_rows(bad)}: {advice}")
    return values


def require_present(name: str, column: Any, advice: str) -> None:
    """Raises an error if a row of the column is empty."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise UserError(f"the column {name!r} is missing (empty or NaN) in {_which_rows(missing)}: {advice}")


def _which_rows(bad: np.ndarray) -> str:
    """The number of `bad` rows of a column, and the first one."""
    number = int(np.count_nonzero(bad))
    return f"{number:,} of {len(bad):,} rows (first: row {int(np.argmax(bad)) + 1})"


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UserError(
            f"{path} has {size / 2**30:.1f} GiB: at most {MOST_BYTES >> 30} GiB are read; give a sample of it"
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


def _check_rows(path: Path, columns: int) -> None:
    """Checks that every row is as long as the header. Pandas silently pads short rows and cuts long ones."""
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
                if rows > MOST_ROWS + 1:
                    raise UserError(
                        f"{path} has more than {MOST_ROWS:,} rows, the most that are read: give a sample of it"
                    )
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file: line {reader.line_num}: {error}") from error


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _not_utf8(path: Path) -> UserError:
    return UserError(f"{path} is not text in UTF-8: export it as CSV in UTF-8")
