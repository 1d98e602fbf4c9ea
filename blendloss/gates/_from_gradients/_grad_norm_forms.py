"""How GradNorm's weights follow from what is trained, and what its losses are compared with: variants by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from blendloss._internal.assertions import require


class Parametrization(Protocol):
    """Weights w of the sum K, `[K]`, as a function of trained parameters."""

    @property
    def start(self) -> float:
        """Each parameter at weights of 1."""

    def weights(self, parameters: tf.Tensor, gate: str) -> tf.Tensor:
        """w; `gate` is the gate's name, for messages."""

    def renormalized(self, parameters: tf.Tensor, weights: tf.Tensor) -> tf.Tensor | None:
        """The parameters that are to be kept in the place of `parameters`; None where they may stay."""

    def slopes(self, weights: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        """The gradient in the parameters where that in the weights is `slopes`."""


@dataclasses.dataclass(frozen=True)
class Renormalized:
    """w itself is trained, and brought back to the sum K."""

    start: float = 1.0

    def weights(self, parameters: tf.Tensor, gate: str) -> tf.Tensor:
        rule = f"The weights of the gate {gate!r} must have a positive sum: take a lower learning rate for it."
        total = tf.reduce_sum(parameters)
        return parameters.shape[0] * parameters / require(total > 0, rule, total)

    def renormalized(self, parameters: tf.Tensor, weights: tf.Tensor) -> tf.Tensor | None:
        return weights

    def slopes(self, weights: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        return slopes  # in algorithm 1 the sum is restored after the step, not differentiated


@dataclasses.dataclass(frozen=True)
class Softmax:
    """w = K softmax(s)."""

    start: float = 0.0

    def weights(self, parameters: tf.Tensor, gate: str) -> tf.Tensor:
        return parameters.shape[0] * tf.nn.softmax(parameters)

    def renormalized(self, parameters: tf.Tensor, weights: tf.Tensor) -> tf.Tensor | None:
        return None

    def slopes(self, weights: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        return weights * (slopes - tf.reduce_mean(weights * slopes))


@dataclasses.dataclass(frozen=True)
class Exponential(Softmax):
    """w = e^s, brought back to the sum K."""

    def renormalized(self, parameters: tf.Tensor, weights: tf.Tensor) -> tf.Tensor | None:
        return tf.math.log(tf.constant(parameters.shape[0], tf.float64)) + tf.nn.log_softmax(parameters)

    def slopes(self, weights: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
        return weights * slopes


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the losses of a step are compared with.

    Args:
        following: (this step's references, its losses, which of these can be compared with, the references before) ->
            the references of the next step, `[K]`.
        of_the_start: whether it is a loss at the start of training, which may be given.
    """

    following: Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    of_the_start: bool


FORMS: dict[str, Parametrization] = {
    "renormalized": Renormalized(),
    "softmax": Softmax(),
    "exponential": Exponential(),
}
REFERENCES = {
    "initial": Reference(lambda found, losses, usable, kept: found, of_the_start=True),
    "previous": Reference(lambda found, losses, usable, kept: tf.where(usable, losses, kept), of_the_start=False),
}
