"""The fields of a comparison."""

from __future__ import annotations

from typing import NamedTuple

from blendloss._advice.bootstrap import Estimate
from blendloss._advice.score import ScoreCurve
from blendloss._advice.traits import Finding


class ComparisonRecord(NamedTuple):
    """The fields of `LossComparison`, which documents them."""

    efficiencies: dict[str, Estimate]
    blend: Estimate
    weights: dict[str, float]
    best_single: str
    location: float
    scale: float
    findings: dict[str, Finding]
    advice: str
    code: str
    score: ScoreCurve
    level: float
    rows: int
