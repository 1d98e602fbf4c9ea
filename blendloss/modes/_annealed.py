"""The annealed mode."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.random import checked_seed, gumbel
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.modes._mode import Mode
from blendloss.modes._relaxation import Relaxation, temper, validate_relaxation
from blendloss.modes._softmax import softmax
from blendloss.modes._temperature import as_temperature_schedule, temperature_at


@register
class Annealed(Mode):
    """Annealed gating: a relaxation whose temperature follows a schedule, from a blend towards a choice.

    g = relax((z + n) / tau(step)). n is standard Gumbel noise if `seed` is given (the Concrete relaxation), else 0.
    tau -> inf gives all finite logits equal weights. tau -> 0 gives the one-hot vector of the largest logit.

    Args:
        temperature: tau > 0: a schedule, a Keras learning-rate schedule, or a number. A value <= 0 or NaN
            raises an error in the graph. XLA cannot raise: there the weights become NaN.
        relaxation: a map from logits `[..., K]` to the simplex.
        seed: an integer. The noise is a function of the seed, the step and the example's place in the batch of all
            replicas. None is no noise. There is no noise outside training.

    Returns:
        `mode(logits, step)` returns g, in the shape and dtype of the logits.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if a constant temperature is not positive.

    Example:
        >>> import blendloss as bl
        >>> annealed = bl.modes.Annealed(bl.schedules.linear(1.0, 0.01, steps=100))
        >>> [[round(float(g), 3) for g in annealed([0.0, 1.0], step=step)] for step in (0, 100)]
        [[0.269, 0.731], [0.0, 1.0]]

    References:
        Maddison, Mnih and Teh, "The Concrete Distribution", ICLR 2017, eq. 10; Jang, Gu and Poole,
        "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017, eq. 2.

    Deviations:
        With a relaxation other than softmax, the formula is the same, but the weights do not have the Concrete law.
    """

    def __init__(self, temperature: Any, relaxation: Relaxation = softmax, seed: int | None = None) -> None:
        self.temperature = as_temperature_schedule(temperature)
        self.relaxation = validate_relaxation(relaxation)
        self.seed = None if seed is None else checked_seed(seed)

    @property
    def needs_step(self) -> bool:
        return self.seed is not None or self.temperature.name != "constant"

    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        if self.seed is not None and training:
            logits = logits + gumbel(logits, self.seed, step)
        return self.relaxation(temper(logits, temperature_at(self.temperature, step, logits.dtype)))

    def get_config(self) -> dict[str, Any]:
        return {
            "temperature": serialize(self.temperature),
            "relaxation": serialize(self.relaxation),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Annealed:
        return cls(deserialize(config["temperature"]), deserialize(config["relaxation"]), config["seed"])
