"""The base of the families of distributions over gating vectors."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf

from blendloss._internal.serialization import Configured

#: The parameters of a distribution by name, each `[K]`, float64.
Parameters = Mapping[str, tf.Tensor]


class Family(Configured, abc.ABC):
    """A family of distributions over gating vectors, with the prior that belongs to it.

    A subclass implements `prior`, `sample`, `point_estimate`, `divergence` and `distribution`. `uniforms` is the
    number of uniform numbers that a sample needs for each loss. A family is pure: the gate keeps the parameters and
    draws the numbers, both in float64.

    Returns:
        `sample(parameters, uniform)` returns logits `[..., K]`; their softmax is a sample.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class Known(bl.gates.families.Family):  # a point mass: nothing is drawn, nothing diverges
        ...     uniforms = 0
        ...     def prior(self, k):
        ...         return {"logits": [0.0] * k}
        ...     def sample(self, parameters, uniform):
        ...         return parameters["logits"]
        ...     def point_estimate(self, parameters):
        ...         return parameters["logits"]
        ...     def divergence(self, parameters, prior):
        ...         return tf.zeros([], tf.float64)
        ...     def distribution(self, parameters):
        ...         raise NotImplementedError
        ...     def get_config(self):
        ...         return {}
        >>> gate = bl.gates.Bayesian(Known(), examples=100, seed=0)
        >>> bl.Blend({"a": "mse", "b": "mae"}, gate).compute([[0.0]], [[2.0]], step=0).weights.numpy().tolist()
        [0.5, 0.5]
    """

    uniforms: ClassVar[int]

    @abc.abstractmethod
    def prior(self, k: int) -> dict[str, list[float]]:
        """The prior's parameters for `k` losses, by name, `[K]` each. The posterior starts at the prior."""

    @abc.abstractmethod
    def sample(self, parameters: Parameters, uniform: tf.Tensor) -> tf.Tensor:
        """Logits `[..., K]` from `uniform` numbers in (0, 1), `[uniforms, ..., K]`; differentiable in parameters."""

    @abc.abstractmethod
    def point_estimate(self, parameters: Parameters) -> tf.Tensor:
        """The logits `[K]` that represent the distribution when nothing is sampled."""

    @abc.abstractmethod
    def divergence(self, parameters: Parameters, prior: Parameters) -> tf.Tensor:
        """KL(q || p) in nats, a scalar, differentiable in the parameters."""

    @abc.abstractmethod
    def distribution(self, parameters: Parameters) -> Any:
        """The distribution as an object of TensorFlow Probability."""
