"""One row per family of posteriors: a divergence from the prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

from blendloss.gates import families


class FamilyRow(NamedTuple):
    """The divergence of the distribution with `parameters` from the prior."""

    id: str
    make: Callable[[], families.Family]
    parameters: dict[str, Sequence[float]]
    value: float


FAMILIES = [
    FamilyRow(  # the density 2 x from 1: the integral of 2 x log 2 x
        "dirichlet", lambda: families.Dirichlet(1.0), {"log_concentration": [log(2), 0.0]}, log(2) - 1 / 2
    ),
    FamilyRow(  # (2 / 2)^2 / 2, and log(1 / 2) + (2^2 - 1) / 2
        "logistic-normal",
        lambda: families.LogisticNormal(scale=2.0),
        {"mean": [2.0, 0.0], "log_scale": [log(2), log(4)]},
        1 / 2 + log(1 / 2) + 3 / 2,
    ),
]
