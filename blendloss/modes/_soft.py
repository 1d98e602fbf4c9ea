"""The soft mode."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.modes._mode import Mode
from blendloss.modes._relaxation import Relaxation, validate_relaxation
from blendloss.modes._softmax import softmax


@register
class Soft(Mode):
    """Soft gating: the gating vector is a relaxation of the logits.

    g = relax(z). Every loss with a positive weight is evaluated and receives a gradient. The gradient in the logits is
    that of the relaxation.

    Args:
        relaxation: a function from logits `[..., K]` to the simplex: `softmax`, `sparsemax`, `entmax15`, or your own
            function, which must not change when a constant is added to the logits.

    Returns:
        `mode(logits, step)` returns g, in the shape and dtype of the logits.

    Raises:
        TypeError: if `relaxation` is not callable.

    Example:
        >>> import blendloss as bl
        >>> soft = bl.modes.Soft(bl.modes.sparsemax)
        >>> soft([0.0, 0.5]).numpy().tolist()
        [0.25, 0.75]

    References:
        Jacobs, Jordan, Nowlan and Hinton, "Adaptive mixtures of local experts", Neural Computation 3 (1991), section 1.
    """

    def __init__(self, relaxation: Relaxation = softmax) -> None:
        self.relaxation = validate_relaxation(relaxation)

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        return self.relaxation(logits)

    def get_config(self) -> dict[str, Any]:
        return {"relaxation": serialize(self.relaxation)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Soft:
        return cls(deserialize(config["relaxation"]))
