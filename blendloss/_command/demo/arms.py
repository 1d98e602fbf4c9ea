"""The nine arms: eight ways to go from one loss to another, and six losses that score matching weighs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from blendloss import Blend, gates, losses, modes, schedules

# Residuals are in robust standard deviations of the target.
_DELTA = 1.0


class Arm(NamedTuple):
    """One way of blending: its `name`, what it does in words, and a function from the number of steps to its blend."""

    name: str
    about: str
    blend: Callable[[int], Blend]


SINGLES = ("MSE alone", "Huber alone")
MATCHED = "score matching"

ARMS = (
    Arm("MSE alone", "squared error throughout", lambda steps: _two(gates.Fixed([1.0, 0.0]))),
    Arm("Huber alone", "Huber throughout", lambda steps: _two(gates.Fixed([0.0, 1.0]))),
    Arm(
        "epoch switch",
        "MSE, then Huber from half-way on",
        lambda steps: _two(gates.Scheduled(schedules.switch_at(steps // 2)), modes.Hard()),
    ),
    Arm(
        "metric switch",
        "MSE until the validation error stops falling, then Huber",
        lambda steps: _two(gates.Plateau("val_mae", patience=1, min_delta=0.02), modes.Hard()),
    ),
    Arm(
        "state-driven",
        "the more outliers among the residuals, the more Huber",
        lambda steps: _two(
            gates.ResidualState(gates.statistics.OutlierShare(3.0), [0.05], width=0.02, memory=max(1, steps // 20))
        ),
    ),
    Arm(
        "soft crossfade",
        "MSE fades into Huber around half-way",
        lambda steps: _two(gates.Scheduled(schedules.sigmoid(0.0, 1.0, center=steps / 2, width=steps / 12))),
    ),
    Arm(
        "annealed",
        "both at first; the temperature falls until Huber is left",
        lambda steps: _two(
            gates.Fixed([0.45, 0.55]), modes.Annealed(schedules.exponential(1.0, 0.03, steps=max(1, steps)))
        ),
    ),
    Arm(
        "learned",
        "trained logits, one loss at a time (straight-through)",
        lambda steps: _two(gates.Learned(), modes.Hard(modes.StraightThrough())),
    ),
    Arm(
        MATCHED,
        "six losses, weighed so that the estimate has the least variance",
        lambda steps: Blend(losses.m_estimators(), gates.ScoreMatching()),
    ),
)


def _two(gate: gates.Gate, mode: modes.Mode | None = None) -> Blend:
    return Blend({"mse": losses.SquaredError(), "huber": losses.Huber(delta=_DELTA)}, gate=gate, mode=mode)
