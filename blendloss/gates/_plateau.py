"""Switching when a validation metric stops improving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.metric_gate import MetricGate


@register
class Plateau(MetricGate):
    """Moves on to the next loss whenever a metric has stopped improving.

    Each observation m (one an epoch) improves if m < best - min_delta (direction "min") or m > best + min_delta
    ("max"). After `patience` observations in a row without improvement the next loss is chosen; then `cooldown`
    observations pass before they count again. The best value is kept across switches. NaN never improves.

    Args:
        monitor: the metric's name in Keras's logs, such as "val_mae".
        patience: observations without improvement before a switch, at least 1.
        min_delta: the least change that counts as an improvement, >= 0.
        cooldown: observations after a switch that do not count, >= 0.
        direction: "min" or "max".
        cyclic: whether the last loss is followed by the first; otherwise it stays.
        name: the layer's name.
        dtype: of the logits and the state.

    Returns:
        `gating(context)` gives 0 for the chosen loss and -inf for the others.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Plateau("val_mae", patience=2)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> for val_mae in (3.0, 2.0, 2.1, 2.0):
        ...     gate.observe(val_mae)
        >>> blend.compute([[0.0]], [[2.0]]).weights.numpy().tolist()
        [0.0, 1.0]

    References:
        The rule is that of `keras.callbacks.ReduceLROnPlateau`.

    Deviations:
        `cooldown` observations do not count; Keras's counter ends one earlier (its `cooldown=c + 1` is `c` here).
    """

    def __init__(
        self,
        monitor: str,
        *,
        patience: int = 3,
        min_delta: float = 0.0,
        cooldown: int = 0,
        direction: str = "min",
        cyclic: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(monitor, patience=patience, cooldown=cooldown, name=name, dtype=dtype)
        self.min_delta = checks.non_negative("min_delta", min_delta, dtype=self.compute_dtype)
        self.direction = checks.one_of("direction", direction, ("min", "max"))
        self.cyclic = checks.boolean("cyclic", cyclic)
        # Set once the losses are known.
        self.best: Any = None

    def create_state(self, k: int) -> None:
        super().create_state(k)
        # The metric with its sign turned so that smaller is better.
        self.best = self.add_state("best", value=float("inf"))

    def observe(self, metric: Any) -> None:
        k = len(self.names)
        sign = 1.0 if self.direction == "min" else -1.0
        metric = sign * self.scalar(metric)
        best = tf.convert_to_tensor(self.best)
        improved = metric < best - tf.constant(self.min_delta, best.dtype)
        self.best.assign(tf.where(improved, metric, best))
        following = tf.convert_to_tensor(self.stage) + 1
        following = following % k if self.cyclic else tf.minimum(following, k - 1)
        self.move(~improved, following)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "min_delta": self.min_delta,
            "direction": self.direction,
            "cyclic": self.cyclic,
        }
