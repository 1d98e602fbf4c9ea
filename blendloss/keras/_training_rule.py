"""How one step trains the network and what trains in the blend: one of three rules, chosen with the model."""

from __future__ import annotations

from typing import Any, Protocol

from blendloss._blend.blend import Blend
from blendloss.gates import Needs
from blendloss.keras._blended_loss_rule import BlendedLossRule
from blendloss.keras._held_out import HeldOut
from blendloss.keras._held_out_rule import HeldOutRule
from blendloss.keras._loss_gradients_rule import LossGradientsRule
from blendloss.keras._trainable import Trainable


class TrainingRule(Protocol):
    """How one step trains the network and what trains in the blend."""

    def check(self, blend: Blend, overrides_compute_loss: bool) -> None:
        """Raises, as the model is made, if the rule does not fit the blend or an own `compute_loss` of the model."""

    def require_ready(self, blend: Blend) -> None:
        """Raises, before a step, if the rule lacks something."""

    def require_whole_step(self, blend: Blend) -> None:
        """Raises if a step that only takes the gradient of `compute_loss` would leave the rule out."""

    def step(self, model: Trainable, data: Any) -> dict[str, Any]:
        """One step of training; gives the logs."""


def training_rule(blend: Blend, held_out: HeldOut | None) -> TrainingRule:
    """The rule by which a model with this blend, and this `held_out`, trains."""
    if held_out is not None:
        return HeldOutRule(held_out)
    return LossGradientsRule() if Needs.GRADIENTS in blend.gate.needs else BlendedLossRule()
