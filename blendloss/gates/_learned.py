"""Trainable logits."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss import _checks
from blendloss._serialization import register
from blendloss.gates._gate import Context, Gate


@register
class Learned(Gate):
    """Trainable logits, one for each loss.

    z = theta, trained with the network by whatever optimizer applies `blend.trainable_variables`.

    Minimising the blended loss over theta moves the weight to the loss with the smallest numbers: give losses of
    comparable scale, and read the weights as "what was easiest to fit", not as evidence for a noise law.

    Args:
        initial: the logits at the start, `[K]`, finite; None is all 0, equal weights.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives theta, `[K]`.

    Raises:
        TypeError: if `initial` is no list of numbers.
        ValueError: if `initial` is not finite, or has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Learned())
        >>> [tuple(variable.shape) for variable in blend.trainable_variables]
        [(2,)]

    References:
        none.

    Deviations:
        none.
    """

    def __init__(self, initial: Any = None, *, name: str | None = None, dtype: Any = "float32") -> None:
        super().__init__(name=name, dtype=dtype)
        self.initial = None if initial is None else _checks.finites("initial", initial)

    def create_state(self, k: int) -> None:
        if self.initial is not None and len(self.initial) != k:
            raise ValueError(f"`initial` must have one logit for each of the {k} losses. Received: {self.initial}")
        self.logits = self.add_weight(name="logits", shape=(k,), initializer=keras.initializers.Zeros())
        if self.initial is not None:
            self.logits.assign(self.initial)

    def gating(self, context: Context) -> tf.Tensor:
        return tf.convert_to_tensor(self.logits)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}
