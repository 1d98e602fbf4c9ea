"""What each loss has of a blend under `ScoreMatching`, at the end and over a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from blendloss import Blend
from blendloss.keras import GateHistory


def shares(blend: Blend) -> dict[str, float]:
    """What each loss has of the blend's mean curvature, by name; they sum to 1."""
    gate: Any = blend.gate
    found = np.asarray(blend.mode(gate.batch_independent_gating().logits, None), np.float64)
    return dict(zip(blend.names, found.tolist(), strict=True))


class ShareHistory(GateHistory):
    """Keeps the shares instead of the weights, which are in the losses' units and as large as the scale squared."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, {f"gate/{name}": share for name, share in shares(self.model.blend).items()})
