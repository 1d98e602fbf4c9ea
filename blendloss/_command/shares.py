"""The shares of the losses under `ScoreMatching`, at the end of a training and during it."""

from __future__ import annotations

from typing import Any

import numpy as np

from blendloss import Blend
from blendloss.keras import GateHistory


def shares(blend: Blend) -> dict[str, float]:
    """Each loss's share of the blend's mean curvature, by name; the sum is 1."""
    gate: Any = blend.gate
    found = np.asarray(blend.mode(gate.batch_independent_gating().logits, None), np.float64)
    return dict(zip(blend.names, found.tolist(), strict=True))


class ShareHistory(GateHistory):
    """Records the shares, not the weights, whose units are the losses' and whose size is the squared scale."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, {f"gate/{name}": share for name, share in shares(self.model.blend).items()})
