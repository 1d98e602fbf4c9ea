"""The arguments of `BlendedModel.compile` and `fit`, checked before anything is built or traced."""

from __future__ import annotations

from typing import Any

from blendloss._blend.blend import Blend
from blendloss.gates import MetricGate
from blendloss.keras._metric_monitor import monitored
from blendloss.keras._requirements import nothing_trains
from blendloss.keras._saveable import require_saveable
from blendloss.keras._targets import check_targets


def check_compile(blend: Blend, given: dict[str, Any], gate_optimizer: Any) -> None:
    """Raises for a loss, and for a `gate_optimizer` without anything to train."""
    for name in ("loss", "loss_weights"):
        if given.get(name) is not None:
            raise ValueError(f"`{name}` is the blend's business: compile without it. Received: {given[name]!r}")
    if gate_optimizer is not None and not blend.trainable_variables:
        raise ValueError(nothing_trains("gate_optimizer", "blend", blend))


def prepare_fit(blend: Blend, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments `given`, with a callback that shows the gate its metric, if it watches one."""
    require_saveable(blend, given.get("callbacks"))
    gate = blend.gate
    if isinstance(gate, MetricGate):
        validated = given.get("validation_data") is not None or given.get("validation_split")
        if gate.monitor.startswith("val_") and not validated:
            raise ValueError(
                f"The gate {gate.name!r} watches {gate.monitor!r}: pass `validation_data=` or `validation_split=`. "
                "Received: neither"
            )
        given = {**given, "callbacks": monitored(given.get("callbacks"), gate)}
    check_targets(blend.functions.values(), given.get("x"), given.get("y"))
    return given
