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
    """Hard gating: one loss at a time, with an estimator's gradient where the gate trains.

    g = onehot(k), with k chosen by the estimator: the largest logit (`StraightThrough`) or a sample
    (`GumbelStraightThrough`, `ReinMax`).

    Args:
        estimator: chooses, and defines the gradient in the logits.
        lazy: where the gate is not trained, evaluate the chosen loss alone (`tf.switch_case`); the readings of the
            others are NaN. A trained gate needs all values for its gradient, so all are evaluated; so they are with
            `ResidualState`, whose choice depends on the batch.

    Returns:
        Calling it gives g, of the shape and dtype of the logits.

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
            raise TypeError(f"`estimator` must be an Estimator, such as StraightThrough(). Received: {estimator!r}")
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
