"""The ReinMax estimator."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.custom_gradient import custom_gradient
from blendloss._internal.random import checked_seed, gumbel
from blendloss._internal.serialization import register
from blendloss.modes._estimator import Estimator, one_hot_of_largest
from blendloss.modes._relaxation import temper
from blendloss.modes._softmax import softmax, softmax_vjp


@register
class ReinMax(Estimator):
    """ReinMax: a sampled one-hot vector forward, a second-order estimate of the expected gradient backward.

    Forward, D ~ Categorical(p) with p = softmax(z) is drawn by the Gumbel-max rule. Backward, dL/dz = 2 V(q) - V(p) / 2
    with the upstream gradient u = dL/dD, q = (softmax(z / tau) + D) / 2 and V(a) = a * (u - <a, u>).

    Args:
        seed: an integer. The sample is a function of the seed, the step and the example's place in the batch of all
            replicas.
        temperature: tau >= 1, a float. 1 is the second-order rule; larger values trade its bias for variance.

    Returns:
        `estimator(logits, step)` returns D, in the shape and dtype of the logits. Outside training, D is the one-hot
        vector of the largest logit.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `temperature` is below 1.

    Example:
        >>> import blendloss as bl
        >>> estimator = bl.modes.ReinMax(seed=0)
        >>> draws = [float(estimator([0.0, 1.0], step=step)[1]) for step in range(200)]
        >>> 0.6 < sum(draws) / 200 < 0.85  # softmax([0, 1])[1] = 0.731
        True

    References:
        Liu, Dong, Liu, Yu and Gao, "Bridging Discrete and Backpropagation: Straight-Through and Beyond",
        NeurIPS 2023, algorithm 2.
    """

    def __init__(self, seed: int, temperature: float = 1.0) -> None:
        self.seed = checked_seed(seed)
        self.temperature = checks.finite("temperature", temperature)
        if self.temperature < 1:
            raise ValueError(f"`temperature` must be at least 1. Received: temperature={temperature!r}")

    @property
    def needs_step(self) -> bool:
        return True

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        noisy = logits + gumbel(logits, self.seed, step) if training else logits
        sample = one_hot_of_largest(noisy)
        shares = softmax(logits)
        relaxed = shares if self.temperature == 1 else softmax(temper(logits, self.temperature))
        return _reinmax(logits, sample, shares, relaxed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "temperature": self.temperature}


@custom_gradient
def _reinmax(logits: tf.Tensor, sample: tf.Tensor, probabilities: tf.Tensor, relaxed: tf.Tensor) -> Any:
    middle = (relaxed + sample) / 2

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None, None, None]:
        estimate = 2 * softmax_vjp(middle, upstream) - softmax_vjp(probabilities, upstream) / 2
        return estimate, None, None, None

    return tf.identity(sample), gradient
