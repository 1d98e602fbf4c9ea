"""Fixed weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating, gating_from_weights


@register
class Fixed(Gate):
    """Fixed weights: what `loss_weights` is in Keras.

    g = w under `Soft()`; another mode sees the logits log w and keeps the total sum(w).

    Args:
        weights: w, `[K]`, non-negative, at least one positive. They need not sum to 1.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log w and its total.

    Raises:
        TypeError: if `weights` is no list of numbers.
        ValueError: if a weight is negative or not finite, all are 0, or there is not one for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Fixed([1.0, 10.0]))
        >>> round(float(blend([[0.0]], [[2.0]])), 3)  # 1 * 4 + 10 * 2
        24.0
    """

    def __init__(self, weights: Any, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.fixed = checked_weights("weights", weights, self.compute_dtype)

    def create_state(self, k: int) -> None:
        if len(self.fixed) != k:
            raise ValueError(f"`weights` must have one weight for each of the {k} losses. Received: {self.fixed}")

    def gating(self, context: Context) -> Gating:
        return gating_from_weights(tf.constant(self.fixed, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.fixed}


def checked_weights(name: str, weights: Any, dtype: str) -> list[float]:
    """`weights`, non-negative and not all 0, as floats that `dtype` can hold with their sum."""
    checked = checks.finites(name, weights, checks.non_negative, "float64")
    if not any(checked):
        raise ValueError(f"`{name}` must not all be 0. Received: {name}={weights!r}")
    with np.errstate(over="ignore", under="ignore"):
        given = np.asarray(checked, tf.as_dtype(dtype).as_numpy_dtype)
        total = given.sum()
    if not np.isfinite(total) or any((given == 0) != (np.asarray(checked) == 0)):
        raise ValueError(f"`{name}` and their sum must be in {dtype}'s range. Received: {weights!r}")
    return checked
