"""A blend's state belongs to one model."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blendloss._blend.blend import Blend

_TAKEN: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""By id, the variables of blends that models have or had, and the gates, whose variables may be created later."""


def take(blend: Blend) -> None:
    """Notes that a model trains the state of `blend`; raises if another does, or did before it was deleted.

    Blends may share a gate or a loss. So the state is noted, and not the blend.
    """
    if any(map(_is_taken, blend.variables)) or (blend.gate.variables and _is_taken(blend.gate)):
        raise ValueError(
            "A blend that keeps state belongs to one BlendedModel: in a second, its gate and losses would go on from "
            "where the first left them. Give each model a blend of its own: `blend.fresh()` starts anew; followed by "
            "`set_weights(blend.get_weights())` it goes on. Received: a blend that shares with another model the "
            f"variables {[variable.name for variable in blend.variables]}, of the gate {blend.gate.name!r} or of losses"
        )
    for part in (blend.gate, *blend.variables):
        _TAKEN[id(part)] = part


def _is_taken(part: Any) -> bool:
    return _TAKEN.get(id(part)) is part
