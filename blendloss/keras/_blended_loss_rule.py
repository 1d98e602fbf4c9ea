"""The training rule of most blends: network and gate follow the blended loss."""

from __future__ import annotations

from typing import Any

from blendloss._blend.blend import Blend
from blendloss.keras._trainable import Trainable


class BlendedLossRule:
    """Keras's own training step, with the blended loss."""

    def check(self, blend: Blend, overrides_compute_loss: bool) -> None:
        """Any blend goes, and any `compute_loss`."""

    def require_ready(self, blend: Blend) -> None:
        """Nothing else is needed."""

    def require_whole_step(self, blend: Blend) -> None:
        """The gradient of `compute_loss` is the whole rule."""

    def step(self, model: Trainable, data: Any) -> dict[str, Any]:
        """One step of Keras's."""
        return model.keras_train_step(data)
