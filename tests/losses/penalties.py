"""The penalties under test, one list for all of this folder: (readable id, instance)."""

from __future__ import annotations

import math

import pytest

from blendloss import losses

PENALTIES: list[tuple[str, losses.Penalty]] = [
    ("squared-error", losses.SquaredError(scale=1.7)),
    ("absolute-error", losses.AbsoluteError(scale=0.3)),
    ("huber", losses.Huber(delta=1.345)),
    ("pseudo-huber", losses.PseudoHuber(delta=0.7)),
    ("log-cosh", losses.LogCosh(scale=1.2)),
    ("cauchy", losses.Cauchy(scale=2.3849)),
    ("geman-mcclure", losses.GemanMcClure(scale=1.5)),
    ("welsch", losses.Welsch(scale=2.9846)),
    ("tukey", losses.Tukey(scale=4.6851)),
    ("fair", losses.Fair(scale=1.3998)),
    ("quantile", losses.Quantile(quantile=0.8, scale=1.3)),
    ("epsilon-insensitive", losses.EpsilonInsensitive(epsilon=0.4)),
    ("barron-minus-inf", losses.Barron(-math.inf, 0.8)),
    ("barron-minus-2", losses.Barron(-2.0, 1.89371)),
    ("barron-below-0", losses.Barron(-1e-9, 1.3)),
    ("barron-0", losses.Barron(0.0, 1.68641)),
    ("barron-above-0", losses.Barron(1e-4, 0.6)),
    ("barron-1", losses.Barron(1.0)),
    ("barron-below-2", losses.Barron(2 - 1e-9, 1.3)),
    ("barron-2", losses.Barron(2.0, 0.7)),
    ("barron-3.3", losses.Barron(3.3, 1.1)),
    ("barron-inf", losses.Barron(math.inf, 1.4)),
]

every_penalty = pytest.mark.parametrize("penalty", [p for _, p in PENALTIES], ids=[i for i, _ in PENALTIES])


def select(*classes: type) -> pytest.MarkDecorator:
    """The rows whose class is among `classes`."""
    rows = [(i, p) for i, p in PENALTIES if isinstance(p, classes)]
    return pytest.mark.parametrize("penalty", [p for _, p in rows], ids=[i for i, _ in rows])


def unit(penalty: losses.Penalty) -> float:
    """The length that `penalty` measures residuals in."""
    config = penalty.get_config()
    return next(config[name] for name in ("scale", "delta", "epsilon") if name in config)
