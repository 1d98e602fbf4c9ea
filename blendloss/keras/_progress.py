"""Shows a gate what an update did to the losses."""

from __future__ import annotations

from typing import Any

import keras

from blendloss.keras._layer_losses import added_values
from blendloss.keras._targets import match_outputs
from blendloss.keras._trainable import Trainable


def observe_progress(model: Trainable, data: Any) -> None:
    """Shows the gate the losses of the step's batch after the update, by one more forward pass."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    # The step has moved running statistics, such as batch normalization's, by this batch already: in this scope, a
    # call assigns to no variable.
    with keras.StatelessScope(collect_losses=True):
        y_pred = model(x, training=True)
        added = added_values(model)
    matched = match_outputs(model.blend.functions, model.network, y, y_pred, sample_weight)
    model.blend.gate.observe_progress(model.blend.values(*matched, added=added))
