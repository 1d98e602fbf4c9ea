"""A part of a blend as it was before it saw any data."""

from __future__ import annotations

from typing import Any

from blendloss._blend.loss_variables import held_variables
from blendloss.losses._columns import innermost


def make_fresh(name: str, part: Any) -> Any:
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
