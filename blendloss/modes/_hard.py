"""The hard mode."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.modes._estimator import Estimator
from blendloss.modes._mode import Mode
from blendloss.modes._straight_through import StraightThrough


@register
class Hard(Mode):
    """Hard gating: one loss at a time. An estimator defines the gradient for a trained gate.

    g = onehot(k). The estimator chooses k: the largest logit (`StraightThrough`) or a sample
    (`GumbelStraightThrough`, `ReinMax`).

    Args:
        estimator: the `Estimator` that chooses, and that defines the gradient in the logits. None is
            `StraightThrough()`.
        lazy: whether to evaluate only the chosen loss (`tf.switch_case`). The other losses of the output are then NaN.
            All losses are evaluated if the gate is trained, because its gradient needs them, or if the choice depends
            on the batch, as with `ResidualState`.

    Returns:
        `mode(logits, step)` returns g, in the shape and dtype of the logits.

    Raises:
        TypeError: if an argument has the wrong type.

    Example:
        >>> import blendloss as bl
        >>> bl.modes.Hard()([0.0, 2.0, 1.0]).numpy().tolist()
        [0.0, 1.0, 0.0]

    References:
        Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons" (2013).
    """

    one_hot = True

    def __init__(self, estimator: Estimator | None = None, lazy: bool = True) -> None:
        estimator = StraightThrough() if estimator is None else estimator
        if not isinstance(estimator, Estimator):
            raise TypeError(
                f"`estimator` must be an Estimator, such as StraightThrough(). Received: estimator={estimator!r}"
            )
        self.estimator = estimator
        self.lazy = checks.boolean("lazy", lazy)

    @property
    def needs_step(self) -> bool:
        return self.estimator.needs_step

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        return self.estimator.weights(logits, step, training)

    def get_config(self) -> dict[str, Any]:
        return {"estimator": serialize(self.estimator), "lazy": self.lazy}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Hard:
        return cls(deserialize(config["estimator"]), config["lazy"])
