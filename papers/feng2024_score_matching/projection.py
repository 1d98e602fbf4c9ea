"""The best convex loss of a law, without a parametric form."""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from papers.feng2024_score_matching.laws import Law


def projected(law: Law) -> np.ndarray:
    """psi* at the places of `law`: the projection of the score on increasing functions, in L2(p).

    Increasing odd functions are the slopes of symmetric convex losses. On r > 0 they are increasing and not negative,
    and the projection there is that of pool adjacent violators, cut at 0.
    """
    seen = law.mass > 0
    found = np.zeros_like(law.r)
    found[seen] = isotonic_regression(law.score[seen], weights=law.mass[seen]).x
    return np.maximum(found, 0.0)


def convex_information(law: Law) -> float:
    """E psi*^2: 1 over the least variance that a convex loss has."""
    return float(law.mass @ projected(law) ** 2)


def majorant_information(law: Law) -> float:
    """The same by the least concave majorant of J = p o F^-1: the integral over (0, 1) of the square of its slope.

    By symmetry the upper half is enough: F(r) goes from 1/2 to 1, and J - p(0) is minus the integral of p * score.
    A point of the majorant's hull is dropped where the next chord is as steep, or less.
    """
    t = np.concatenate([[0.5], 0.5 + np.cumsum(law.mass) / 2])
    height = np.concatenate([[0.0], -np.cumsum(law.mass * law.score) / 2])
    hull = [(t[0], height[0])]
    for point in zip(t[1:], height[1:], strict=True):
        if point[0] == hull[-1][0]:
            continue
        while len(hull) > 1 and _steepness(*hull[-2:]) <= _steepness(hull[-1], point):
            hull.pop()
        hull.append(point)
    width = np.diff([point[0] for point in hull])
    slope = np.diff([point[1] for point in hull]) / width
    return float(2 * width @ np.minimum(slope, 0.0) ** 2)


def _steepness(left: tuple[float, float], right: tuple[float, float]) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])


def threshold(law: Law) -> float:
    """Where the best convex slope becomes constant, as |r|."""
    psi = projected(law)
    return float(law.r[np.argmax(psi >= psi.max() * (1 - 1e-12))])
