"""What learning-rate annealing moves the weights to: the published variants, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from blendloss.gates._base.loss_gradients import LossGradients
from blendloss.gates._from_gradients._weights_of_sizes import mean_over_sizes, over_sizes, sum_over_sizes


def largest_over_mean(gradients: LossGradients, last: tf.Tensor, reference: int) -> tf.Tensor:
    """max |G_reference| / mean |G_k|."""
    return over_sizes(gradients.largest()[reference], gradients.mean_sizes(), last)


def largest_over_weighted_mean(gradients: LossGradients, last: tf.Tensor, reference: int) -> tf.Tensor:
    """max |G_reference| / (|g_k| mean |G_k|), the mean over variables of each one's mean."""
    by_variable = [tf.reduce_mean(tf.abs(tf.cast(rows, tf.float64)), axis=1) for rows in gradients.matrices()]
    sizes = tf.abs(last) * tf.reduce_mean(tf.stack(by_variable), axis=0)
    return over_sizes(gradients.largest()[reference], sizes, last)


def mean_over_mean(gradients: LossGradients, last: tf.Tensor, reference: int) -> tf.Tensor:
    """mean |G_reference| / mean |G_k|."""
    sizes = gradients.mean_sizes()
    return over_sizes(sizes[reference], sizes, last)


def sum_of_norms_over_norm(gradients: LossGradients, last: tf.Tensor, reference: int) -> tf.Tensor:
    """sum_j |G_j| / |G_k|."""
    return sum_over_sizes(gradients.norms(), last)


def mean_norm_over_norm(gradients: LossGradients, last: tf.Tensor, reference: int) -> tf.Tensor:
    """n / (|G_k| + 1e-5 n), n the mean norm."""
    return mean_over_sizes(gradients.norms(), last)


@dataclasses.dataclass(frozen=True)
class Target:
    """What a variant moves the weights to.

    Args:
        weights: (gradients, the last weights, the reference's place) -> `[K]`, float64; a loss without a gradient keeps
            its last weight.
        has_reference: whether there is a reference, whose own weight stays 1.
    """

    weights: Callable[[LossGradients, tf.Tensor, int], tf.Tensor]
    has_reference: bool = True


TARGETS = {
    "paper": Target(largest_over_mean),
    "code": Target(largest_over_weighted_mean),
    "mean": Target(mean_over_mean),
    "norm_sum": Target(sum_of_norms_over_norm, has_reference=False),
    "norm_mean": Target(mean_norm_over_norm, has_reference=False),
}
