"""The law of the residuals that an exponential family has fitted, as a distribution of TensorFlow Probability.

This module is imported only when a law is needed, because TensorFlow Probability is slow to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from blendloss._likelihood.partition import Partition
from blendloss.losses import Penalty
from blendloss.losses._math.quadrature import POINT_WEIGHTS, POINTS

_REACH = 690.0  # about asinh of the end of the cells


class ResidualLaw(tfp.distributions.Distribution):
    """p(r) = exp(-sum_k g_k rho_k(r / c)) / (c Z(g)): a scalar law with scalar parameters.

    The distribution function integrates the density cell by cell, with an error of about 1e-12, in float64. A moment
    that does not exist is NaN (the mean of a Cauchy law) or infinite (its variance).

    Args:
        penalties: rho_k, K penalties.
        partition: their partition function.
        weights: g, `[K]`.
        scale: c, a scalar, in units of the residual.
    """

    def __init__(
        self,
        penalties: tuple[Penalty, ...],
        partition: Partition,
        weights: tf.Tensor,
        scale: tf.Tensor,
        name: str = "ResidualLaw",
    ) -> None:
        parameters = dict(locals())
        self._penalties, self._partition = penalties, partition
        self._weights, self._scale = tf.cast(weights, tf.float64), tf.cast(scale, tf.float64)
        self._log_z = partition.log_partition(self._weights)
        masses = tf.exp(partition.cells.log_weights - self._energy(tf.constant(partition.cells.nodes)) - self._log_z)
        self._masses = tf.reduce_sum(masses, axis=1)
        super().__init__(
            dtype=tf.float64,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {
            "weights": tfp.util.ParameterProperties(event_ndims=1),
            "scale": tfp.util.ParameterProperties(),
        }

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self, **parameters: Any) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _energy(self, u: tf.Tensor) -> tf.Tensor:
        weights = tf.unstack(self._weights, len(self._penalties))
        # A weight of 0 removes its penalty, even an infinite one.
        values = [tf.math.multiply_no_nan(p.value(u), g) for p, g in zip(self._penalties, weights, strict=True)]
        return tf.add_n(values)

    def _log_prob(self, r: tf.Tensor) -> tf.Tensor:
        u = r / self._scale
        return -self._energy(u) - self._log_z - tf.math.log(self._scale)

    def _cdf(self, r: tf.Tensor) -> tf.Tensor:
        before = tf.cumsum(self._masses, exclusive=True)
        return self._at(r, lambda cell, low, u, high: tf.gather(before, cell) + self._mass(low, u))

    def _survival_function(self, r: tf.Tensor) -> tf.Tensor:
        after = tf.cumsum(self._masses, exclusive=True, reverse=True)
        return self._at(r, lambda cell, low, u, high: tf.gather(after, cell) + self._mass(u, high))

    def _at(self, r: tf.Tensor, probability: Callable[..., tf.Tensor]) -> tf.Tensor:
        """`probability(cell, its low end, u, its high end)` of the cell that holds each u = r / c."""
        knots = tf.constant(self._partition.cells.knots)
        u = r / self._scale
        flat = tf.reshape(tf.clip_by_value(u, knots[0], knots[-1]), [-1])
        cell = tf.searchsorted(knots[1:-1], flat, side="right")
        found = probability(cell, tf.gather(knots, cell), flat, tf.gather(knots, cell + 1))
        # `searchsorted` has no cell for NaN.
        return tf.where(tf.math.is_nan(u), u, tf.reshape(found, tf.shape(u)))

    def _mass(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """The probability between `a` and `b`, in one cell: by the cells' rule, in log |u| or, at 0, in u."""
        core = (a == 0) | (b == 0)
        sign = tf.where(a + b < 0, -tf.ones_like(a), tf.ones_like(a))
        start, stop = (tf.math.log(tf.abs(tf.where(core, sign, end))) for end in (a, b))
        start, half = tf.where(core, a, start), tf.where(core, b - a, stop - start) / 2
        place = start[:, tf.newaxis] + half[:, tf.newaxis] * (1 + tf.constant(POINTS))
        core, sign = core[:, tf.newaxis], sign[:, tf.newaxis]
        nodes = tf.where(core, place, sign * tf.exp(tf.where(core, tf.zeros_like(place), place)))
        density = tf.exp(tf.where(core, tf.zeros_like(place), place) - self._energy(nodes) - self._log_z)
        return tf.abs(half) * tf.linalg.matvec(density, tf.constant(POINT_WEIGHTS))

    def _quantile(self, probability: tf.Tensor) -> tf.Tensor:
        return quantile(self._cdf, probability, self._scale)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed, "ResidualLaw")
        uniform = tf.random.stateless_uniform([n], seed, dtype=tf.float64)
        return quantile(self._cdf, uniform, self._scale)

    def _mode(self) -> tf.Tensor:
        nodes = tf.concat([tf.zeros([1], tf.float64), tf.constant(self._partition.nodes)], 0)
        return nodes[tf.argmin(self._energy(nodes))] * self._scale

    def _entropy(self) -> tf.Tensor:
        table = tf.constant(self._partition.table)
        energy = tf.linalg.matvec(table, self._weights, transpose_a=True)
        mean = tf.reduce_sum(self._node_probabilities() * energy)
        return mean + self._log_z + tf.math.log(self._scale)

    def _mean(self) -> tf.Tensor:
        return self._moment(1, tf.constant(float("nan"), tf.float64))

    def _variance(self) -> tf.Tensor:
        mean = self._moment(1, tf.constant(float("nan"), tf.float64))
        second = self._moment(2, tf.constant(float("inf"), tf.float64))
        return tf.where(tf.math.is_inf(second), second, second - mean**2)

    def _node_probabilities(self) -> tf.Tensor:
        energy = self._energy(tf.constant(self._partition.nodes))
        return tf.exp(self._partition.log_weights - energy - self._log_z)

    def _moment(self, order: int, missing: tf.Tensor) -> tf.Tensor:
        growth = tf.reduce_sum(self._weights * tf.constant(self._partition.tails))
        nodes = tf.constant(self._partition.nodes)
        powers = tf.math.multiply_no_nan(nodes**order, self._node_probabilities())
        return tf.where(growth > 1 + order, tf.reduce_sum(powers) * self._scale**order, missing)


def quantile(cdf: Callable[[tf.Tensor], tf.Tensor], probability: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """r with cdf(r) = `probability`, elementwise, in float64; -inf at 0 and inf at 1.

    The root is searched in asinh(r / scale), which covers core and tails alike.
    """
    probability = tf.cast(probability, tf.float64)
    reach = tf.fill(tf.shape(probability), tf.constant(_REACH, tf.float64))
    place = tfp.math.find_root_chandrupatla(
        lambda place: cdf(tf.sinh(place) * scale) - probability,
        low=-reach,
        high=reach,
        position_tolerance=1e-12,
        value_tolerance=0.0,
        max_iterations=200,
    ).estimated_root
    infinity = tf.constant(float("inf"), tf.float64)
    inside = (probability > 0) & (probability < 1)
    return tf.where(inside, tf.sinh(place) * scale, tf.where(probability > 0, infinity, -infinity))
