"""A published claim, what came out here, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from blendloss.console.errors import UserError

#: What is below is rounding.
ROUNDING = 1e-12
REPRODUCED, WITHIN, NOT, PENDING = "reproduced", "within tolerance", "not reproduced", "not run"
#: An error, and no verdict on the claim.
FAILED = "no finite number"


class Runs:
    """The finished runs of a record, in the order of the arms and seeds."""

    def __init__(self, runs: list[dict[str, Any]]) -> None:
        self._runs = runs

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def arms(self) -> list[str]:
        """The arms that have a finished run."""
        return list(dict.fromkeys(run["arm"] for run in self._runs))

    def of(self, arm: str) -> list[dict[str, Any]]:
        """The results of `arm`, in the order of the seeds.

        Raises:
            Missing: if there is none.
        """
        found = [run["result"] for run in self._runs if run["arm"] == arm]
        if not found:
            raise Missing(arm)
        return found

    def seeds(self, arm: str) -> list[int]:
        """The seeds that `arm` was run with."""
        return [run["seed"] for run in self._runs if run["arm"] == arm]

    def numbers(self, arm: str, key: str) -> np.ndarray:
        """The numbers `key` of `arm`, one a seed.

        Raises:
            NotFinite: if a run gave none that is finite.
        """
        found = np.array([math.nan if result[key] is None else result[key] for result in self.of(arm)], float)
        if not np.isfinite(found).all():
            raise NotFinite(f"{arm}: {key}")
        return found


class Missing(LookupError):
    """An arm that has not been run."""


class NotFinite(ArithmeticError):
    """A result that is NaN or infinite."""


class Ours(NamedTuple):
    """What came out: a number for each seed, or whether the claim holds and what is seen, in words."""

    values: tuple[float, ...] = ()
    holds: bool | None = None
    seen: str = ""

    def __str__(self) -> str:
        if self.holds is not None:
            return self.seen or ("holds" if self.holds else "does not hold")
        values = np.asarray(self.values)
        if 0 < np.max(np.abs(values)) < ROUNDING:  # of which the digits are the processor's
            return f"below {ROUNDING:g}" + (f" (n = {len(values)})" if len(values) > 1 else "")
        if len(values) == 1:
            return f"{values[0]:.5g}"
        return f"{values.mean():.4g} ± {values.std(ddof=1):.2g} (n = {len(values)})"


def number(*values: float) -> Ours:
    """A number for each seed."""
    return Ours(values=tuple(map(float, values)))


def holds(truth: bool | np.bool_, seen: str) -> Ours:
    """Whether the claim holds, and what is seen."""
    return Ours(holds=bool(truth), seen=seen)


@dataclass(frozen=True)
class Claim:
    """One published claim.

    A number is `reproduced` where the mean over seeds is within `digits` of it, and `within tolerance` where it is
    within `tolerance`; both are absolute, and stand in the expected values with their reason. A claim in words has a
    `measure` that gives `holds(...)`, and is reproduced or not.

    Args:
        name: what is claimed, in a few words.
        published: the number, or the claim as a sentence.
        source: where it stands: table, figure, page, code and commit; how sure.
        measure: a function of the `Runs` that gives `number(...)` or `holds(...)`.
        digits: how near is the same.
        tolerance: how near is near enough.
        why: the reason of the tolerance.
    """

    name: str
    published: float | str
    source: str
    measure: Callable[[Runs], Ours]
    digits: float = 0.0
    tolerance: float = 0.0
    why: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.published, str):
            if self.digits or self.tolerance:
                raise ValueError(f"A claim in words has no tolerance. Received: {self.name!r}")
        elif not 0 < self.digits <= self.tolerance:
            raise ValueError(f"A number needs 0 < digits <= tolerance. Received: {self.name!r}")

    def judged(self, runs: Runs) -> Judged:
        """What came out, and the verdict."""
        try:
            ours = self.measure(runs)
        except Missing:
            return Judged(self, None, PENDING)
        except NotFinite:
            return Judged(self, None, FAILED)
        if ours.holds is not None:
            return Judged(self, ours, REPRODUCED if ours.holds else NOT)
        if isinstance(self.published, str):
            raise TypeError(f"The claim {self.name!r} is in words: its measure must give `holds(...)`.")
        if not np.isfinite(ours.values).all():
            return Judged(self, ours, FAILED)
        off = abs(float(np.mean(ours.values)) - self.published)
        return Judged(self, ours, REPRODUCED if off <= self.digits else WITHIN if off <= self.tolerance else NOT)


class Judged(NamedTuple):
    """A claim with what came out and the verdict."""

    claim: Claim
    ours: Ours | None
    verdict: str

    @property
    def row(self) -> tuple[str, str, str, str]:
        """What is claimed, published, ours, verdict."""
        published = self.claim.published
        shown = published if isinstance(published, str) else f"{published:.8g}"
        return self.claim.name, shown, "" if self.ours is None else str(self.ours), self.verdict


def require_numbers(judged: list[Judged]) -> None:
    """Raises if a claim's numbers are not finite."""
    failed = [one.claim.name for one in judged if one.verdict == FAILED]
    if failed:
        raise UserError(f"there is no finite number for: {'; '.join(failed)}")
