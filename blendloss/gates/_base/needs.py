"""What a gate asks of the blend."""

from __future__ import annotations

import enum


class Needs(enum.Flag):
    """What a gate needs; the blend gives exactly that, and refuses losses or calls that cannot.

    | member | what the gate is given |
    |---|---|
    | `STEP` | `Context.step`: a call without it is refused |
    | `RESIDUAL` | `Context.residual`, `counted` and `element_weights`: the losses must share one residual |
    | `RESIDUAL_SLOPE` | gradients flow through `Context.residual`, which is a constant otherwise |
    | `PENALTIES` | `Gate.penalties`: each loss must be a `Penalty` |
    | `VALUES` | `Context.values`: all K losses are evaluated in each call |
    | `FEATURES` | `Context.features`: a call without them is refused |
    | `GRADIENTS` | `Context.gradients` in training: each loss's own gradient (see `GradientGate`) |
    | `RESIDUAL_GRADIENTS` | `Context.gradients.residuals`: what each loss's residuals have for gradients |
    | `PROGRESS` | `Gate.observe_progress` is called with the losses after each update |

    Returns:
        A member of the enumeration, or several joined by `|`.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Needs.STEP in bl.gates.Scheduled(bl.schedules.switch_at(10)).needs
        True
    """

    NOTHING = 0
    STEP = enum.auto()
    RESIDUAL = enum.auto()
    RESIDUAL_SLOPE = enum.auto()
    PENALTIES = enum.auto()
    VALUES = enum.auto()
    FEATURES = enum.auto()
    GRADIENTS = enum.auto()
    RESIDUAL_GRADIENTS = enum.auto()
    PROGRESS = enum.auto()
