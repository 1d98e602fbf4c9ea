"""Sums over residuals by group, from which the whole comparison of losses is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._solvers.least_variance import LeastVariance, least_variance
from blendloss.gates._base.score_moments import slopes_of
from blendloss.losses import Penalty

_ROWS = 1 << 16  # rows per evaluation


class Moments(NamedTuple):
    """The moments of B samples, from which efficiencies are computed.

    Args:
        slope: E psi_k, `[B, K]`.
        curvature: b_k = E psi_k', `[B, K]`.
        second: A = E psi_j psi_k, `[B, K, K]`.
    """

    slope: np.ndarray
    curvature: np.ndarray
    second: np.ndarray


def slope_sums(
    penalties: Sequence[Penalty], u: np.ndarray, weight: np.ndarray, width: float, group: np.ndarray, groups: int
) -> np.ndarray:
    """Sums of w, w^2, w psi_k, w psi_k' and w^2 psi_j psi_k (j <= k) over the rows of each group, `[groups, F]`.

    Args:
        penalties: the K losses.
        u: residuals in units of their scale, `[N]`.
        weight: w, the sample weights, `[N]`.
        width: h of the difference quotient (psi(u + h) - psi(u - h)) / 2h, which replaces psi'.
        group: the group of each row, from 0 to `groups` - 1, `[N]`.
        groups: the number of groups.
    """
    slopes_at = _slopes_at(tuple(penalties))
    first, last = np.triu_indices(len(penalties))
    total = np.zeros([groups, 2 + 2 * len(penalties) + len(first)])
    h = tf.constant(width, tf.float64)
    for start in range(0, len(u), _ROWS):
        rows = slice(start, start + _ROWS)
        w, (psi, curvature) = weight[rows], (one.numpy() for one in slopes_at(tf.constant(u[rows]), h))
        weighed = w * psi
        products = (weighed[j] * weighed[k] for j, k in zip(first, last, strict=True))
        total += by_group([w, w**2, *weighed, *(w * curvature), *products], group[rows], groups)
    return total


@lru_cache(maxsize=16)
def _slopes_at(penalties: tuple[Penalty, ...]) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function from u `[N]` and h to psi_k and psi_k', `[K, N]` each. The graph leaves out the losses' values."""

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float64), tf.TensorSpec([], tf.float64)],
        autograph=False,
    )
    def slopes_at(u: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slopes = slopes_of(penalties, u, width)
        return tf.transpose(slopes.slope), tf.transpose(slopes.curvature)

    return slopes_at


def by_group(columns: Sequence[np.ndarray], group: np.ndarray, groups: int) -> np.ndarray:
    """The sums of `columns` `[N]` over the rows of each group, `[groups, len(columns)]`."""
    return np.stack([np.bincount(group, column, groups) for column in columns], axis=1)


def moments(sums: np.ndarray, k: int) -> Moments:
    """The moments from B sums of `slope_sums`, `[B, F]`."""
    weight, weight_squared = sums[:, :1], sums[:, 1:2]
    first, last = np.triu_indices(k)
    second = np.empty([len(sums), k, k])
    second[:, first, last] = second[:, last, first] = sums[:, 2 + 2 * k :] / weight_squared
    return Moments(sums[:, 2 : 2 + k] / weight, sums[:, 2 + k : 2 + 2 * k] / weight, second)


def solve_blend(found: Moments) -> LeastVariance:
    """The blend with the least variance for each of the B samples, as NumPy arrays."""
    solution = least_variance(tf.constant(found.second), tf.constant(found.curvature))
    return LeastVariance(*(part.numpy() for part in solution))
