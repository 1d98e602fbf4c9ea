"""The Gumbel straight-through estimator."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.random import checked_seed, gumbel
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.modes._estimator import Estimator, one_hot_of_largest, straight_through
from blendloss.modes._relaxation import temper
from blendloss.modes._softmax import softmax
from blendloss.modes._temperature import as_temperature_schedule, temperature_at


@register
class GumbelStraightThrough(Estimator):
    """Gumbel straight-through: a sampled one-hot vector forward, the gradient of the Concrete relaxation backward.

    n is Gumbel noise. Forward, D = onehot(argmax(z + n)) is a sample of Categorical(softmax(z)). Backward, the Jacobian
    is that of softmax((z + n) / tau).

    Args:
        seed: an integer. The noise is a function of the seed, the step and the example's place in the batch of all
            replicas.
        temperature: tau > 0: a schedule, a Keras learning-rate schedule, or a number.

    Returns:
        `estimator(logits, step)` returns D, in the shape and dtype of the logits. Outside training, D is the one-hot
        vector of the largest logit.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if a constant temperature is not positive.

    Example:
        >>> import blendloss as bl
        >>> estimator = bl.modes.GumbelStraightThrough(seed=0)
        >>> draws = [float(estimator([0.0, 1.0], step=step)[1]) for step in range(200)]
        >>> 0.6 < sum(draws) / 200 < 0.85  # softmax([0, 1])[1] = 0.731
        True

    References:
        Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017, section 2.2.
    """

    def __init__(self, seed: int, temperature: Any = 1.0) -> None:
        self.seed = checked_seed(seed)
        self.temperature = as_temperature_schedule(temperature)

    @property
    def needs_step(self) -> bool:
        return True

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        if training:
            logits = logits + gumbel(logits, self.seed, step)
        relaxed = softmax(temper(logits, temperature_at(self.temperature, step, logits.dtype)))
        return straight_through(one_hot_of_largest(logits), relaxed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "temperature": serialize(self.temperature)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GumbelStraightThrough:
        return cls(config["seed"], deserialize(config["temperature"]))
