"""Stagnation: whether a statistic has stopped falling."""

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
    """How far a statistic has stopped falling: its short running mean over its long one; the in-graph loss plateau.

    With running means over `memory` and `ratio * memory` steps, short / long is below 1 while the statistic falls and
    comes to 1 on a plateau; a threshold of 0.98, say, switches where the long mean is within 2 % of the short one.
    Both means start equal: there is no reading until the long one has seen its `ratio * memory` steps.

    Args:
        statistic: what is watched; None is the mean absolute residual. Positive.
        ratio: how many times longer the long mean remembers, > 1.

    Returns:
        Calling it gives the watched statistic of one batch; `from_means` compares the running means.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `ratio` is not above 1.

    Example:
        >>> import blendloss as bl
        >>> float(bl.gates.statistics.Stagnation().from_means([0.9, 1.2], [1.0, 0.8]))
        0.75

    References:
        The comparison of a short and a long moving average is Appel's (1979).

    Deviations:
        It is a ratio, not a difference, and so free of scale.
    """

    def __init__(self, statistic: Statistic | None = None, ratio: float = 10.0) -> None:
        statistic = MeanAbsolute() if statistic is None else statistic
        if not isinstance(statistic, Statistic):
            raise TypeError(f"`statistic` must be a Statistic, such as MeanAbsolute(). Received: {statistic!r}")
        self.statistic = statistic
        self.ratio = checks.between("ratio", ratio, 1, float("inf"))

    def compute(self, residual: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        return self.statistic.compute(residual, counted)

    def memories(self, memory: float) -> tuple[float, ...]:
        return (memory, self.ratio * memory)

    def from_means(self, means: Any, filled: Any) -> tf.Tensor:
        means, filled = tf.convert_to_tensor(means), tf.convert_to_tensor(filled)
        # After t steps a mean over M has seen 1 - (1 - 1/M)^t of it: 1 - 1/e at t = M.
        ready = filled[1] >= 1 - math.exp(-1)
        return tf.where(ready, means[0] / means[1], tf.constant(float("nan"), means.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"statistic": serialize(self.statistic), "ratio": self.ratio}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Stagnation:
        return cls(deserialize(config["statistic"]), config["ratio"])
