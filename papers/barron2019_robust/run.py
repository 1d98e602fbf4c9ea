"""One arm: a check of the loss, or a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from papers.barron2019_robust.checks import partition_function, properties, special_cases
from papers.barron2019_robust.config import Config
from papers.barron2019_robust.fits import recovery, regression

CHECKS = {
    "special cases": special_cases,
    "properties": properties,
    "partition function": partition_function,
    "recovery": recovery,
}


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    return CHECKS[arm](config, seed) if arm in CHECKS else regression(config, arm, seed)
