"""Comparing and printing numbers in commands."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from blendloss.console.errors import UserError

STANDARD_ERRORS = 2.0
ENOUGH_SEEDS = 3
"""Differences over seeds are compared with two standard errors. Fewer seeds than this give no reliable spread."""


def require_finite(what: str, numbers: Mapping[str, float]) -> None:
    """Raises an error unless all `numbers` are finite."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise UserError(f"{what}: {name} is {value}, which is not a result")


def significant(value: float) -> str:
    """`value` with four significant digits. Trailing zeros are kept, so that columns stay aligned."""
    return f"{value:#.4g}".removesuffix(".")


def named_shares(shares: Mapping[str, float]) -> str:
    """Shares with their names, the largest first, without those below 1 %."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{share:.0%} {name}" for name, share in ordered if share >= 0.01)


def in_standard_errors(differences: np.ndarray) -> float:
    """The mean of paired differences divided by its standard error."""
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    if error == 0:
        return 0.0 if differences.mean() == 0 else math.copysign(math.inf, differences.mean())
    return float(differences.mean() / error)


def compared(differences: dict[str, np.ndarray]) -> str:
    """Which arms are below, equal to and above a reference, by paired differences over seeds."""
    places = {name: in_standard_errors(values) for name, values in differences.items()}
    below = [name for name, place in places.items() if place < -STANDARD_ERRORS]
    above = [name for name, place in places.items() if place > STANDARD_ERRORS]
    same = [name for name in places if name not in below + above]
    return "; ".join(
        f"{what}: " + ", ".join(f"{name} ({differences[name].mean():+.2g})" for name in names)
        for what, names in (("below it", below), ("no different", same), ("above it", above))
        if names
    )
