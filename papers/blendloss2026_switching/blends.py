"""The arms: three losses alone, and seven ways from MSE to Huber."""

from __future__ import annotations

import math
from collections.abc import Callable

import blendloss as bl

#: Those whose weights depend on the data.
ADAPTIVE = ("plateau", "state", "straight-through", "likelihood")


def alone(loss: bl.losses.Penalty) -> bl.Blend:
    return bl.Blend({"loss": loss}, bl.gates.Fixed([1.0]))


def _two(gate: bl.gates.Gate, mode: bl.modes.Mode | None = None) -> bl.Blend:
    return bl.Blend({"mse": MSE, "huber": HUBER}, gate, mode)


MSE = bl.losses.SquaredError(math.sqrt(2))  # r^2 / 2, as Huber near 0: a switch changes the tails alone
HUBER = bl.losses.Huber.tuned(0.95)  # for noise of scale 1, which the data have

#: What makes the blend of an arm, for a training of so many steps.
BLENDS: dict[str, Callable[[int], bl.Blend]] = {
    "MSE alone": lambda steps: alone(MSE),
    "Huber alone": lambda steps: alone(HUBER),
    "MAE alone": lambda steps: alone(bl.losses.AbsoluteError()),
    "hard switch": lambda steps: _two(bl.gates.Scheduled(bl.schedules.switch_at(steps // 2)), bl.modes.Hard()),
    "crossfade": lambda steps: _two(
        bl.gates.Scheduled(bl.schedules.sigmoid(0.0, 1.0, center=steps / 2, width=steps / 12))
    ),
    "annealed": lambda steps: _two(
        bl.gates.Fixed([0.45, 0.55]), bl.modes.Annealed(bl.schedules.exponential(1.0, 0.03, steps=steps))
    ),
    "plateau": lambda steps: _two(bl.gates.Plateau("held-out MAE", patience=3), bl.modes.Hard()),
    "state": lambda steps: _two(
        bl.gates.ResidualState(bl.gates.statistics.OutlierShare(3.0), [0.02], width=0.005, memory=max(1, steps // 20))
    ),
    "straight-through": lambda steps: _two(bl.gates.Learned(normalize="likelihood"), bl.modes.Hard()),
    "likelihood": lambda steps: _two(bl.gates.ExponentialFamily()),
}
