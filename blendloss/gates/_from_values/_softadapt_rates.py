"""What SoftAdapt calls a loss's rate of change, and how rates are normalized: variants by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from blendloss._internal import checks
from blendloss.gates._from_values._rate_gate import ratio


class Rate(Protocol):
    """A rate of change over the last `points` losses, computed every `period` steps if nothing else is asked for."""

    @property
    def points(self) -> int:
        """How many losses it looks at, at least 2."""

    @property
    def period(self) -> int:
        """The usual number of steps between changes of the weights."""

    def __call__(self, losses: tf.Tensor) -> tf.Tensor:
        """s, `[K]`, of `losses`, `[at least points, K]`, the last of which is the present one."""


@dataclasses.dataclass(frozen=True)
class Slope:
    """The forward difference of an order of accuracy."""

    order: int

    @property
    def points(self) -> int:
        return self.order + 1

    @property
    def period(self) -> int:
        return self.points  # no loss counts twice

    def __call__(self, losses: tf.Tensor) -> tf.Tensor:
        return forward_difference(losses[-self.points :])


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The last loss over the one before."""

    points: int = 2
    period: int = 1

    def __call__(self, losses: tf.Tensor) -> tf.Tensor:
        return ratio(losses[-1], losses[-2])


def slope_of(order: Any) -> Rate:
    """`Slope` of `order`; None is 4."""
    return Slope(4 if order is None else checks.integer("order", order, 1))


def ratio_of(order: Any) -> Rate:
    """`Ratio`, which has no order."""
    if order is not None:
        raise ValueError(f"`order` must be None for ratios. Received: order={checks.shown(order)}")
    return Ratio()


RATES: dict[str, Callable[[Any], Rate]] = {"slope": slope_of, "ratio": ratio_of}


def forward_difference(losses: tf.Tensor) -> tf.Tensor:
    """The slope at the first of the n + 1 `losses` `[n + 1, K]`, one step apart, of the polynomial through them, `[K]`.

    sum_j c_j l_j, c_j = (-1)^(j + 1) binomial(n, j) / j, c_0 = -sum_j c_j.
    """
    n = losses.shape[0] - 1
    coefficients = [(-1) ** (j + 1) * math.comb(n, j) / j for j in range(1, n + 1)]
    # Of differences, so that the slope of a constant is 0.
    return tf.linalg.matvec(losses[1:] - losses[0], tf.constant(coefficients, losses.dtype), transpose_a=True)


def unchanged(rates: tf.Tensor) -> tf.Tensor:
    """`rates` as they are."""
    return rates


def over_sum(rates: tf.Tensor) -> tf.Tensor:
    """`rates` over their sum; as they are where that is 0."""
    return _over(rates, tf.reduce_sum(rates))


def over_sum_of_sizes(rates: tf.Tensor) -> tf.Tensor:
    """`rates` over the sum of their sizes; as they are where that is 0."""
    return _over(rates, tf.reduce_sum(tf.abs(rates)))


def _over(rates: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.where(size == 0, rates, rates / tf.where(size == 0, tf.ones_like(size), size))


NORMALIZATIONS: dict[str | None, Callable[[tf.Tensor], tf.Tensor]] = {
    None: unchanged,
    "sum": over_sum,
    "absolute": over_sum_of_sizes,
}
