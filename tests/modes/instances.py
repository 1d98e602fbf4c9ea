"""The relaxations and modes under test, one list of each for all of this folder: (readable id, instance)."""

from __future__ import annotations

import pytest

from blendloss import modes, schedules

RELAXATIONS = [("softmax", modes.softmax), ("sparsemax", modes.sparsemax), ("entmax15", modes.entmax15)]

_COOLING = schedules.exponential(2.0, 0.2, steps=1000)

MODES: list[tuple[str, modes.Mode]] = [
    ("soft-softmax", modes.Soft()),
    ("soft-sparsemax", modes.Soft(modes.sparsemax)),
    ("soft-entmax15", modes.Soft(modes.entmax15)),
    ("annealed", modes.Annealed(_COOLING)),
    ("annealed-noisy", modes.Annealed(_COOLING, seed=7)),
    ("annealed-sparsemax-noisy", modes.Annealed(_COOLING, modes.sparsemax, seed=7)),
    ("annealed-entmax15", modes.Annealed(0.5, modes.entmax15)),
    ("straight-through", modes.StraightThrough()),
    ("straight-through-sparsemax", modes.StraightThrough(modes.sparsemax, temperature=2.0)),
    ("straight-through-entmax15", modes.StraightThrough(modes.entmax15, temperature=0.5)),
    ("gumbel-straight-through", modes.GumbelStraightThrough(seed=7, temperature=_COOLING)),
    ("reinmax", modes.ReinMax(seed=7, temperature=1.5)),
    ("hard", modes.Hard()),
    ("hard-gumbel", modes.Hard(modes.GumbelStraightThrough(seed=7), lazy=False)),
    ("hard-reinmax", modes.Hard(modes.ReinMax(seed=7))),
]

every_relaxation = pytest.mark.parametrize("relax", [r for _, r in RELAXATIONS], ids=[i for i, _ in RELAXATIONS])
every_mode = pytest.mark.parametrize("mode", [m for _, m in MODES], ids=[i for i, _ in MODES])


def select(condition) -> pytest.MarkDecorator:
    """The modes for which `condition` holds."""
    rows = [(i, m) for i, m in MODES if condition(m)]
    return pytest.mark.parametrize("mode", [m for _, m in rows], ids=[i for i, _ in rows])
