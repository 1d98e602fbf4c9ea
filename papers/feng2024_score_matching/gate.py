"""The weights that the library's own gate finds for a law."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import blendloss as bl
from papers.feng2024_score_matching.laws import Law
from papers.feng2024_score_matching.program import moments

#: Observations of the same residuals: the gate's scale is at their quartile after a few.
_TIMES = 8


def gate_efficiency(noise: Law, losses: Mapping[str, bl.losses.Penalty], residuals: int) -> float:
    """The efficiency at `noise` of the blend that `ScoreMatching` finds from so many of its quantiles."""
    gate = bl.gates.ScoreMatching(memory=1, every=1, prior=0, dtype="float64")
    blend = bl.Blend(dict(losses), gate)
    reached = np.cumsum(noise.mass)
    half = (np.arange(residuals // 2) + 0.5) / (residuals // 2)
    size = np.exp(np.interp(half, reached / reached[-1], np.log(noise.r)))
    for _ in range(_TIMES):
        gate.observe(np.concatenate([-size, size]))
    shares, curvature = (np.asarray(part) for part in gate.solution[:2])
    g = np.divide(shares, curvature, out=np.zeros_like(shares), where=curvature > 0)
    second, slope = moments(noise, blend.names)
    return float((slope @ g) ** 2 / (g @ second @ g)) / noise.information
