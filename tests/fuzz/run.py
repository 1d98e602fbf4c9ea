"""The cases, one argument of one subject replaced by one hostile value, and how each ends."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tests.fuzz import calls, constructors, judge  # noqa: F401, which fill the table
from tests.fuzz.hostile import EITHER, VALUES
from tests.fuzz.subjects import SUBJECTS


class Case(NamedTuple):
    """One input."""

    subject: str
    argument: str
    hostile: str
    number: int

    def __str__(self) -> str:
        return f"{self.subject}({self.argument}={self.hostile})"


def cases(inputs: int, seed: int, only: str = "") -> list[Case]:
    """`inputs` of all cases, in an order of chance; each once, before one comes again with other numbers."""
    every = [
        (name, argument, hostile)
        for name, subject in SUBJECTS.items()
        if only in name
        for argument, (kind, optional, slow) in subject.kinds.items()
        for hostile in VALUES
        if not (slow and _either(kind, optional, hostile))
    ]
    rng = np.random.default_rng(seed)
    turns = -(-inputs // len(every))
    order = np.concatenate([rng.permutation(len(every)) for _ in range(turns)])[:inputs]
    return [Case(*every[int(place)], number) for number, place in enumerate(order)]


def _either(kind: str, optional: bool, hostile: str) -> bool:
    """Whether an argument may compute with a hostile value."""
    return hostile in EITHER[kind] or (optional and hostile == "None")


def outcome_of(case: Case, seed: int) -> tuple[str, str]:
    """What became of a case, and the message or result."""
    subject = SUBJECTS[case.subject]
    kind, optional, _ = subject.kinds[case.argument]
    value = VALUES[case.hostile](np.random.default_rng([seed, case.number]))
    try:
        result = subject.call({**subject.valid(), case.argument: value})
    except Exception as error:
        return judge.of_error(error), f"{type(error).__name__}: {str(error)[:300]}"
    return judge.of_result(case.hostile, not _either(kind, optional, case.hostile), result), repr(result)[:200]


def outcomes(chosen: Iterable[Case], seed: int) -> Iterator[tuple[Case, str, str]]:
    """Each case with its outcome and its detail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of hostile numbers
        for case in chosen:
            yield case, *outcome_of(case, seed)
