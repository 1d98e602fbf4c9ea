"""A table prepared for a network: split, standardized and indexed, with statistics of the training part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blendloss.console.errors import UserError

TRAIN, VALIDATION, TEST = range(3)
# Times the median absolute deviation, it estimates the standard deviation of a normal law: 1 / Phi^{-1}(3/4).
_CONSISTENCY = 1.482602218505602
# The largest standardized number: float32 holds the sum of the squares of a batch.
_FARTHEST = 1e15


@dataclass(frozen=True)
class RawTable:
    """The columns of a table before any processing.

    `numbers` and `texts` hold columns by name. All columns are `[rows]`; `part` has TRAIN, VALIDATION or TEST.
    `story` describes the table and its split in a sentence or two. `digest` is the SHA-256 of the file.
    """

    numbers: dict[str, np.ndarray]
    texts: dict[str, np.ndarray]
    target: np.ndarray
    part: np.ndarray
    predicts: str
    unit: str
    story: str
    digest: str


class Part(NamedTuple):
    """One part of the split: `numbers` `[rows, n]`, `categories` `[rows, c]`, `target` `[rows, 1]`, standardized."""

    numbers: np.ndarray
    categories: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Problem:
    """The problem on which the arms are trained.

    `vocabulary` is the number of categories of all text columns, with one more for "unknown" in each. Targets are
    (target - `centre`) / `scale`, the median and the robust standard deviation of the training part.
    """

    parts: tuple[Part, Part, Part]
    vocabulary: int
    centre: float
    scale: float
    table: RawTable

    def in_units(self, standardized: np.ndarray) -> np.ndarray:
        """Predictions `[rows, 1]` in the target's own units, `[rows]`, float64."""
        return standardized[:, 0].astype(np.float64) * self.scale + self.centre

    def target(self, part: int) -> np.ndarray:
        """The target in its own units, `[rows]`."""
        return self.table.target[self.table.part == part]


def prepare(table: RawTable) -> Problem:
    """Standardizes and indexes `table`."""
    train = table.part == TRAIN
    numbers = [_in_reach(name, _standardized(column, train)) for name, column in table.numbers.items()]
    indexed, vocabulary = _indexed(table.texts, train)
    centre, scale = _robust(table.target[train])
    with np.errstate(over="ignore"):
        target = _in_reach(table.predicts, (table.target - centre) / scale).astype(np.float32)[:, np.newaxis]
    stacked = _stacked(numbers, len(train), np.float32)
    parts = [Part(stacked[rows], indexed[rows], target[rows]) for rows in (table.part == part for part in range(3))]
    return Problem((parts[0], parts[1], parts[2]), vocabulary, centre, scale, table)


def errors(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The three test errors of predictions `[rows]`, in the target's units."""
    size = np.abs(predicted - target)
    return {
        "mae": float(np.mean(size)),
        "rmse": float(np.sqrt(np.mean(np.square(size)))),
        "median": float(np.median(size)),
    }


def digest(path: Path) -> str:
    """The SHA-256 of a file, by which a continued run recognizes its data."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def _standardized(column: np.ndarray, train: np.ndarray) -> np.ndarray:
    # A power of 2 changes no digit, and prevents overflow in sums and squares of the largest numbers.
    _, exponent = np.frexp(np.abs(column[train]).max())
    with np.errstate(over="ignore"):
        column = np.ldexp(column.astype(np.float64), -exponent)
    known = column[train]
    # A column that is constant in the training part becomes 0 everywhere.
    if np.ptp(known) == 0:
        return np.zeros_like(column)
    with np.errstate(over="ignore"):
        return (column - known.mean()) / known.std()


def _in_reach(name: str, standardized: np.ndarray) -> np.ndarray:
    """Raises an error for a number so far from the training part that its square overflows float32."""
    row = int(np.argmax(np.abs(standardized)))
    if not abs(standardized[row]) <= _FARTHEST:
        raise UserError(
            f"the column {name!r} is {abs(standardized[row]):.2g} standard deviations of the training rows from their "
            f"centre in row {row + 1}, but at most {_FARTHEST:g} are possible: correct the row or leave it out"
        )
    return standardized


def _indexed(texts: dict[str, np.ndarray], train: np.ndarray) -> tuple[np.ndarray, int]:
    """Categories as indices into one vocabulary. The first index of each column is for unseen values."""
    columns, start = [], 0
    for values in texts.values():
        known, inverse = np.unique(values, return_inverse=True)
        seen = np.zeros(len(known), bool)
        seen[inverse[train]] = True
        columns.append(start + np.where(seen, np.cumsum(seen), 0)[inverse])
        start += 1 + int(seen.sum())
    return _stacked(columns, len(train), np.int32), start


def _stacked(columns: list[np.ndarray], rows: int, dtype: type) -> np.ndarray:
    return np.stack(columns, axis=1).astype(dtype) if columns else np.zeros((rows, 0), dtype)


def _robust(target: np.ndarray) -> tuple[float, float]:
    """Median and scaled median absolute deviation, or the standard deviation if more than half are equal."""
    centre = float(np.median(target))
    scale = _CONSISTENCY * float(np.median(np.abs(target - centre)))
    return centre, scale or float(np.std(target))
