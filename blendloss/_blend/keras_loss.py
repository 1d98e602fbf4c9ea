"""A blend as a Keras loss whose step is read from a variable."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import tensorflow as tf

from blendloss._blend.context import reasons_for_step
from blendloss._blend.objective import Objective
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.serialization import deserialize, register, serialize


class SteppedLoss(Protocol):
    """A loss of a batch and a step, such as a blend."""

    name: str
    objective: Objective

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, *, step: Any = None) -> tf.Tensor:
        """The loss at `step`."""


@register
class KerasBlendLoss(keras.losses.Loss):
    """A blend whose step is read from a variable."""

    def __init__(self, blend: SteppedLoss, step: Any = None, name: str | None = None, reduction: Any = None) -> None:
        objective = blend.objective
        if objective.trains or objective.gate.stateful:
            reasons = reasons_for_step(objective.gate, objective.mode, objective.losses.trains)
            raise ValueError(
                f"{'; '.join(reasons)}, which a plain `compile(loss=...)` never does: no optimizer "
                "sees the blend. Use `BlendedModel(network, blend)`."
            )
        super().__init__(name=name or blend.name, reduction=objective.reduction)
        self.blend = blend
        self.step = step

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        return self.blend(y_true, y_pred, sample_weight, step=self.step)

    def get_config(self) -> dict[str, Any]:
        return {"blend": serialize(self.blend), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasBlendLoss:
        return cls(deserialize(config["blend"]), name=config["name"])
