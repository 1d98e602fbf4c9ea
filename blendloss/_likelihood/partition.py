"""Partition functions: Z(g) = integral of exp(-sum_k g_k rho_k(u)) du over the line.

The nodes of the quadrature depend on the penalties, not on g. A step therefore costs one product of a `[K, J]` table
with g, and a log-sum-exp over J = 1,200 to 7,000 nodes, for every batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from blendloss.losses import Penalty
from blendloss.losses._math.quadrature import cells, tail, values_at


class Partition:
    """log Z(g) for K penalties, and the condition for it to be finite.

    `tails` `[K]` holds b_k, the growth of rho_k with log |u| far out (of the two sides, the slower). It is s^2 for
    Cauchy, 0 for a bounded penalty, and at most 1e30. Z(g) is finite exactly if sum_k g_k b_k > 1.
    """

    def __init__(self, penalties: Sequence[Penalty]) -> None:
        self.cells = cells(penalties)
        self.nodes = self.cells.nodes.reshape(-1)
        self.log_weights = self.cells.log_weights.reshape(-1)
        self.table = np.stack([values_at(penalty, self.nodes) for penalty in penalties])
        self.tails = np.array([tail(penalty) for penalty in penalties])

    def log_partition(self, weights: tf.Tensor) -> tf.Tensor:
        """log Z(g), differentiable at every order. Its gradient is -E rho, and its Hessian is the covariance of rho.

        Args:
            weights: g, `[K]`, with sum_k g_k b_k > 1.

        Returns:
            A float64 scalar.
        """
        energy = tf.linalg.matvec(tf.constant(self.table), tf.cast(weights, tf.float64), transpose_a=True)
        return tf.reduce_logsumexp(tf.constant(self.log_weights) - energy)


def log_partition_alone(name: str, penalty: Penalty) -> float:
    """log Z of exp(-rho) for one penalty.

    Raises:
        ValueError: if the integral is not finite.
    """
    partition = Partition([penalty])
    if not partition.tails[0] > 1:
        raise ValueError(
            f"exp(-rho) of `{name}` must have a finite integral to be a density: {why_not(partition.tails)}. "
            f"Received: {penalty!r}"
        )
    shifted = partition.log_weights - partition.table[0]
    largest = shifted.max()
    return float(largest + math.log(np.exp(shifted - largest).sum()))


def why_not(tails: np.ndarray) -> str:
    """Why exp(-rho) of penalties with these `tails` has no finite integral if all weights are 1."""
    if tails.max() == 0:
        return "rho is bounded, so that the density does not fall to 0 far out"
    return (
        f"rho grows only as {tails.sum():.4g} log |r|, and |r|^-{tails.sum():.4g} has no finite integral; "
        "a larger scale makes Cauchy's penalty grow faster"
    )
