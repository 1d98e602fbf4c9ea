"""The arms: five losses alone, two gates of the switching study, and score matching in seven ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import blendloss as bl
from papers.blendloss2026_score_matching.config import PAPER
from papers.blendloss2026_score_matching.sets import CONVEX, SEVEN
from papers.blendloss2026_switching import blends as switching

#: Steps that the gate remembers: few, as the network changes; chosen by pilots.
MEMORY = 10


def _matching(
    mode: bl.modes.Mode | None = None, *, convex: bool = False, memory: float = MEMORY, **gate: Any
) -> bl.Blend:
    return bl.Blend(CONVEX if convex else SEVEN, bl.gates.ScoreMatching(memory=memory, **gate), mode)


#: What makes the blend of an arm, for a training of so many steps.
BLENDS: dict[str, Callable[[int], bl.Blend]] = {
    **{name: switching.BLENDS[name] for name in ("MSE alone", "Huber alone", "MAE alone")},
    "Cauchy alone": lambda steps: switching.alone(bl.losses.Cauchy.tuned(0.95)),
    "Tukey alone": lambda steps: switching.alone(bl.losses.Tukey.tuned(0.95)),
    **{name: switching.BLENDS[name] for name in ("state", "likelihood")},
    "score matching": lambda steps: _matching(),
    "memory of 300": lambda steps: _matching(memory=300),
    "convex": lambda steps: _matching(convex=True),
    "hard": lambda steps: _matching(bl.modes.Hard()),
    "annealed": lambda steps: _matching(bl.modes.Annealed(bl.schedules.exponential(1.0, 0.03, steps=steps))),
    "held-out": lambda steps: _matching(memory=100, every=PAPER.every, held_out=True),
    "default set": lambda steps: bl.Blend(bl.losses.m_estimators(), bl.gates.ScoreMatching()),
}
