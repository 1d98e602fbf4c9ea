"""A blend as a Keras loss whose step is read from a variable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from blendloss._blend.context import reasons_for_step
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.serialization import deserialize, register, serialize

if TYPE_CHECKING:
    from blendloss._blend.blend import Blend


@register
class KerasBlendLoss(keras.losses.Loss):
    """A blend whose step is read from a variable."""

    def __init__(self, blend: Blend, step: Any = None, name: str | None = None, reduction: str | None = None) -> None:
        if blend.trainable_variables or blend.gate.stateful:
            raise ValueError(
                f"{'; '.join(reasons_for_step(blend))}, which a plain `compile(loss=...)` never does: no optimizer "
                "sees the blend. Use `BlendedModel(network, blend)`."
            )
        super().__init__(name=name or blend.name, reduction=blend.reduction)
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
