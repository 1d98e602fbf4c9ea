"""Stagnation: whether a statistic has stopped decreasing."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import deserialize, register, serialize
from blendloss.gates.statistics._mean_absolute import MeanAbsolute
from blendloss.gates.statistics._statistic import Statistic


@register
class Stagnation(Statistic):
    """Measures whether a statistic has stopped decreasing: its short running mean divided by its long one.

    The means run over `memory` and `ratio * memory` steps. Short / long is below 1 while the statistic decreases, and
    approaches 1 on a plateau. For example, a threshold of 0.98 switches once the means are within 2 % of each other.
    Both means start equal, so the result is NaN until the long mean has run for `ratio * memory` steps.

    Args:
        statistic: the positive `Statistic` to watch. None is the mean absolute residual.
        ratio: the memory of the long mean divided by that of the short one, > 1.

    Returns:
        `statistic(residual)` returns the watched statistic of one batch, a scalar. `from_means` compares the running
        means.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `ratio` is not above 1.

    Example:
        >>> import blendloss as bl
        >>> float(bl.gates.statistics.Stagnation().from_means([0.9, 1.2], [1.0, 0.8]))
        0.75

    References:
        Appel (1979), for the comparison of a short and a long moving average.

    Deviations:
        A ratio, not a difference, so that it has no units.
    """

    def __init__(self, statistic: Statistic | None = None, ratio: float = 10.0) -> None:
        statistic = MeanAbsolute() if statistic is None else statistic
        if not isinstance(statistic, Statistic):
            raise TypeError(
                f"`statistic` must be a Statistic, such as MeanAbsolute(). Received: statistic={statistic!r}"
            )
        self.statistic = statistic
        self.ratio = checks.between("ratio", ratio, 1, float("inf"))

    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        return self.statistic.compute(residual, counted)

    def running_mean_memories(self, memory: float) -> tuple[float, ...]:
        return (memory, self.ratio * memory)

    def from_means(self, means: Any, filled: Any) -> tf.Tensor:
        means, filled = tf.convert_to_tensor(means), tf.convert_to_tensor(filled)
        # After t steps a mean over M steps has filled 1 - (1 - 1/M)^t of its memory: 1 - 1/e at t = M.
        ready = filled[1] >= 1 - math.exp(-1)
        return tf.where(ready, means[0] / means[1], tf.constant(float("nan"), means.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"statistic": serialize(self.statistic), "ratio": self.ratio}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Stagnation:
        return cls(deserialize(config["statistic"]), config["ratio"])
