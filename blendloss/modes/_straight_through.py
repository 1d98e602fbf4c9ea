"""The straight-through estimator."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.modes._estimator import Estimator, one_hot_of_largest, straight_through
from blendloss.modes._relaxation import Relaxation, temper, validate_relaxation
from blendloss.modes._softmax import softmax
from blendloss.modes._temperature import validate_temperature


@register
class StraightThrough(Estimator):
    """Straight-through: the one-hot vector of the largest logit forward, the gradient of a relaxation backward.

    Forward, D = onehot(argmax z). Backward, dL/dz = J^T dL/dD with the Jacobian J of relax(z / tau) at z. The gradient
    is biased and has no noise. If logits are equal, the first loss is chosen.

    Args:
        relaxation: the relaxation whose Jacobian replaces that of argmax.
        temperature: tau > 0, a float, the temperature of that relaxation.

    Returns:
        `estimator(logits, step)` returns D, in the shape and dtype of the logits.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `temperature` is not positive.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> z = tf.Variable([0.0, 1.0])
        >>> with tf.GradientTape() as tape:
        ...     g = bl.modes.StraightThrough()(z)
        ...     loss = tf.reduce_sum(g * [3.0, 1.0])
        >>> g.numpy().tolist(), [round(float(d), 3) for d in tape.gradient(loss, z)]
        ([0.0, 1.0], [0.393, -0.393])

    References:
        Bengio, Leonard and Courville, "Estimating or Propagating Gradients Through Stochastic Neurons" (2013),
        section 4 (there for a binary unit); its softmax form as in Liu et al., NeurIPS 2023, eq. 3.

    Deviations:
        The paper samples; this estimator chooses the largest logit. `GumbelStraightThrough` and `ReinMax` sample.
    """

    def __init__(self, relaxation: Relaxation = softmax, temperature: float = 1.0) -> None:
        self.relaxation = validate_relaxation(relaxation)
        self.temperature = validate_temperature(temperature)

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        return straight_through(one_hot_of_largest(logits), self.relaxation(temper(logits, self.temperature)))

    def get_config(self) -> dict[str, Any]:
        return {"relaxation": serialize(self.relaxation), "temperature": self.temperature}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StraightThrough:
        return cls(deserialize(config["relaxation"]), config["temperature"])
