"""The annealed mode."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.random import checked_seed, gumbel
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.modes._mode import Mode
from blendloss.modes._relaxation import Relaxation, checked_relaxation, temper
from blendloss.modes._softmax import softmax
from blendloss.modes._temperature import temperature_at, temperature_schedule


@register
class Annealed(Mode):
    """Annealed gating: a relaxation whose temperature follows a schedule, from blending towards choosing.

    g = relax((z + n) / tau(step)), with n standard Gumbel noise where `seed` is given (the Concrete relaxation) and
    0 otherwise. tau -> inf gives equal weights to all finite logits, tau -> 0 the one-hot of the largest.

    Args:
        temperature: tau > 0: a schedule, a Keras learning-rate schedule, or a number. Values <= 0 or NaN are caught
            in the graph; XLA, which cannot raise, turns the weights into NaN.
        relaxation: a map from logits `[..., K]` to the simplex.
        seed: seeds the noise, which is a function of seed, step and the example's place in the batch of all replicas;
            None is no noise. No noise when not training.

    Returns:
        Calling it gives g, of the shape and dtype of the logits.

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
        With a relaxation other than softmax the noisy weights are not Concrete; the formula is the same.
    """

    def __init__(self, temperature: Any, relaxation: Relaxation = softmax, seed: int | None = None) -> None:
        self.temperature = temperature_schedule(temperature)
        self.relaxation = checked_relaxation(relaxation)
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
