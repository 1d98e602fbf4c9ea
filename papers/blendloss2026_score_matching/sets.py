"""The losses that are blended."""

from __future__ import annotations

import blendloss as bl

#: From light to heavy tails; those of the prototype. The library's `m_estimators()` was chosen later.
SEVEN: dict[str, bl.losses.Penalty] = {
    "squared": bl.losses.SquaredError(),
    "huber": bl.losses.Huber.tuned(0.95),
    "huber_0.4": bl.losses.Huber(0.4),
    "absolute": bl.losses.AbsoluteError(),
    "cauchy": bl.losses.Cauchy.tuned(0.95),
    "cauchy_1": bl.losses.Cauchy(1.0),
    "tukey": bl.losses.Tukey.tuned(0.95),
}
CONVEX: dict[str, bl.losses.Penalty] = {
    "squared": bl.losses.SquaredError(),
    "huber_2": bl.losses.Huber(2.0),
    "huber": bl.losses.Huber.tuned(0.95),
    "huber_0.7": bl.losses.Huber(0.7),
    "huber_0.3": bl.losses.Huber(0.3),
    "absolute": bl.losses.AbsoluteError(),
}
