"""Numbers as commands compare and print them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from blendloss.console.errors import UserError

STANDARD_ERRORS = 2.0
ENOUGH_SEEDS = 3
"""Two standard errors of a paired difference over seeds; with fewer seeds than this its spread is itself a guess."""


def require_finite(what: str, numbers: Mapping[str, float]) -> None:
    """Raises unless all `numbers` are finite: NaN compares with nothing, and is no result."""
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise UserError(f"{what}: {name} is {value}, which is no result")


def significant(value: float) -> str:
    """`value` in four significant digits, trailing zeros kept: columns of errors stay aligned."""
    return f"{value:#.4g}".removesuffix(".")


def named_shares(shares: Mapping[str, float]) -> str:
    """Shares with their names, the largest first, those below 1 % left out."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{share:.0%} {name}" for name, share in ordered if share >= 0.01)


def in_standard_errors(differences: np.ndarray) -> float:
    """The mean of paired differences, in its standard errors."""
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    if error == 0:
        return 0.0 if differences.mean() == 0 else math.copysign(math.inf, differences.mean())
    return float(differences.mean() / error)


def compared(differences: dict[str, np.ndarray]) -> str:
    """Which arms are below a reference, no different and above it, by their paired differences over seeds."""
    places = {name: in_standard_errors(values) for name, values in differences.items()}
    below = [name for name, place in places.items() if place < -STANDARD_ERRORS]
    above = [name for name, place in places.items() if place > STANDARD_ERRORS]
    same = [name for name in places if name not in below + above]
    return "; ".join(
        f"{what}: " + ", ".join(f"{name} ({differences[name].mean():+.2g})" for name in names)
        for what, names in (("below it", below), ("no different", same), ("above it", above))
        if names
    )
