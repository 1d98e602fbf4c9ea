"""A blend like another, as it was before it saw any data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blendloss._blend.loss_variables import held_variables
from blendloss.losses._columns import innermost

if TYPE_CHECKING:
    from blendloss._blend.blend import Blend


def fresh(blend: Blend) -> Blend:
    """What `Blend.fresh` gives."""
    losses = {name: None if loss is None else _fresh(name, loss) for name, loss in blend._given.items()}
    made = type(blend)(
        list(losses) if None in losses.values() else losses,
        _fresh("gate", blend.gate),
        blend.mode,
        reduction=blend.reduction,
        name=blend.name,
    )
    if not blend.trainable:  # True would undo the gate's own
        made.trainable = False
    old = {id(variable) for variable in blend.variables}
    shared = [variable.path for variable in made.variables if id(variable) in old]
    if shared:
        raise ValueError(
            "A blend with variables that no `get_config` tells of cannot be made afresh: make a new one yourself. "
            f"Received: the variables {shared}"
        )
    return made


def _fresh(name: str, part: Any) -> Any:
    """`part` itself, if it keeps nothing; else another, made from its configuration."""
    inner = innermost(part)
    if not getattr(inner, "variables", ()) and not held_variables(name, inner):
        return part
    try:
        return type(part).from_config(part.get_config())
    except Exception as error:
        raise ValueError(
            f"A part that keeps variables is made afresh by `from_config(get_config())`, which failed with {error!r}. "
            f"Received: {name}={part!r}"
        ) from error
