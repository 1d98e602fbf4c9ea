"""What score matching needs to know of residuals: second moments of the slopes, and their mean curvatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from blendloss._internal.replicas import sum_over_replicas
from blendloss.losses import Penalty
from blendloss.losses._math.efficiency import normal_quadrature


class Sums(NamedTuple):
    """Sums over residuals u_i with weights w_i.

    Args:
        weight: sum w, scalar.
        weight_squared: sum w^2, scalar.
        slope: sum w psi_k(u), `[K]`.
        curvature: sum w psi_k'(u), `[K]`.
        second: sum w^2 psi_j(u) psi_k(u), `[K, K]`.
    """

    weight: Any
    weight_squared: Any
    slope: Any
    curvature: Any
    second: Any


class Observed(NamedTuple):
    """What a batch adds.

    Args:
        sums: of its residuals.
        influence: the sum of the squared influences w phi_k, `[K]`.
        log_size: sum w log |r| over the r that are not 0.
        log_weight: sum w over these.
        above: sum w over |u| > 0.6745.
    """

    sums: Sums
    influence: Any
    log_size: Any
    log_weight: Any
    above: Any


class Slopes(NamedTuple):
    """The slopes psi_k(u_i) and their derivatives, `[N, K]` each."""

    slope: tf.Tensor
    curvature: tf.Tensor


def slopes_of(penalties: Sequence[Penalty], u: tf.Tensor, width: tf.Tensor) -> Slopes:
    """The slopes of `penalties` at residuals `u` `[N]`, and (psi(u + h) - psi(u - h)) / 2h for the bandwidth h `width`.

    The difference is the mean of psi' over [u - h, u + h]: a kernel estimate of E psi' that counts a jump of the slope,
    as the absolute error's at 0, by the density of the residuals there.
    """
    slope = tf.stack([penalty.slope(u) for penalty in penalties], axis=-1)
    up = tf.stack([penalty.slope(u + width) for penalty in penalties], axis=-1)
    down = tf.stack([penalty.slope(u - width) for penalty in penalties], axis=-1)
    return Slopes(slope, (up - down) / (2 * width))


def sums_of(slopes: Slopes, weights: tf.Tensor) -> Sums:
    """The sums over residuals with these slopes and `weights` `[N]`.

    An estimate that solves sum w_i psi(u_i) = 0 has the variance E w^2 psi^2 / (E w psi')^2 for weights that do not
    depend on the noise.
    """
    weighed = weights[:, tf.newaxis] * slopes.slope
    return Sums(
        tf.reduce_sum(weights),
        tf.reduce_sum(weights**2),
        tf.reduce_sum(weighed, axis=0),
        tf.reduce_sum(weights[:, tf.newaxis] * slopes.curvature, axis=0),
        tf.matmul(weighed, weighed, transpose_a=True),
    )


def bandwidth(number: tf.Tensor) -> tf.Tensor:
    """h = 1.25 n^(-1/5), in units of the residuals' scale, for `number` n of residuals; 1.25 for none."""
    return 1.25 * tf.maximum(number, tf.ones_like(number)) ** -0.2


def normal_moments(penalties: Sequence[Penalty]) -> tuple[np.ndarray, np.ndarray]:
    """A = E psi psi' `[K, K]` and b = E psi' `[K]` at the standard normal, b by Stein's lemma as E u psi(u)."""
    points, probabilities = normal_quadrature()
    points, probabilities = np.concatenate([-points, points]), np.concatenate([probabilities, probabilities]) / 2
    with tf.init_scope():  # also where a blend is made inside a graph
        psi = np.stack([np.asarray(penalty.slope(tf.constant(points))) for penalty in penalties], axis=-1)
    return (psi * probabilities[:, np.newaxis]).T @ psi, (probabilities * points) @ psi


def number_of(sums: Sums) -> tf.Tensor:
    """How many residuals of equal weight the sums amount to."""
    return tf.math.divide_no_nan(sums.weight**2, sums.weight_squared)


def of_all_replicas(own: Observed) -> Observed:
    """The sum over the replicas, which tell each other one vector; of A, its upper triangle."""
    k = own.influence.shape[0]
    rows, columns = np.triu_indices(k)
    place = np.zeros([k, k], np.int32)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    triangle = tf.gather(tf.reshape(own.sums.second, [-1]), rows * k + columns)
    packed = own._replace(sums=own.sums._replace(second=triangle))
    parts = tf.nest.flatten(packed)
    sizes = [part.shape.num_elements() for part in parts]
    total = sum_over_replicas(tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0))
    split = [tf.reshape(piece, part.shape) for piece, part in zip(tf.split(total, sizes), parts, strict=True)]
    found: Observed = tf.nest.pack_sequence_as(packed, split)
    return found._replace(sums=found.sums._replace(second=tf.gather(found.sums.second, place)))
