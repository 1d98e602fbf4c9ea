"""Adam on the residual and the boundary of all networks of a candidate, with a lambda for each network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from papers.blendloss2026_annealing.candidates import Candidate
from papers.blendloss2026_annealing.stack import Stack


class Gradients(NamedTuple):
    """Losses `[networks]`, and their gradients in the kernels and then in the biases."""

    residual: tf.Tensor
    boundary: tf.Tensor
    of_residual: list[tf.Tensor]
    of_boundary: list[tf.Tensor]


class Training:
    """The networks, their lambdas and Adam, which works element by element and thus on all networks at once."""

    def __init__(self, candidate: Candidate, size: str, seeds: Sequence[int], batch: int, jit: bool) -> None:
        layers, width = map(int, size.split("x"))
        self.candidate = candidate
        self.seeds = list(seeds)
        self.batch = batch
        self.stack = Stack(len(self.seeds), layers + candidate.more_layers, width, candidate.dtype)
        self.stack.initialize(self.seeds, candidate.truncated)
        if candidate.measured_scale:
            self.stack.measure_scale(self.seeds)
        self.weight = tf.Variable(tf.ones([len(self.seeds)], candidate.dtype))
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 1000, 0.9)
        self.adam = keras.optimizers.Adam(rate, epsilon=candidate.epsilon)
        self.adam.build(self.stack.variables)
        self.advance = tf.function(self._advance, jit_compile=jit and candidate.xla, autograph=False)

    def _advance(self, steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Takes `steps` steps; gives the means over them of lambda and of both losses, `[networks]` each."""
        nothing = tf.zeros([len(self.seeds)], self.candidate.dtype)

        def step(left: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return left - 1, *(total + one for total, one in zip(sums, self._step(), strict=True))

        _, *sums = tf.while_loop(lambda left, *_: left > 0, step, (steps, nothing, nothing, nothing))
        return tuple(total / tf.cast(steps, total.dtype) for total in sums)

    def _step(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step of Adam; gives the lambdas that it had, and the losses before it."""
        number = tf.cast(tf.convert_to_tensor(self.adam.iterations), tf.int32)
        points = self._points(tf.zeros_like(number) if self.candidate.fixed_points else number)
        found = self._gradients(points)
        due = (number % self.candidate.every == 0) & self.candidate.annealed
        weight = tf.convert_to_tensor(self.weight)
        if not self.candidate.after:
            weight = tf.where(due, self._next(weight, found), weight)
            self.weight.assign(weight)
        factor = weight[:, None, None]
        summed = [one + factor * other for one, other in zip(found.of_residual, found.of_boundary, strict=True)]
        self.adam.apply(summed, self.stack.variables)
        if self.candidate.after:
            self.weight.assign(tf.cond(due, lambda: self._next(weight, self._gradients(points)), lambda: weight))
        return weight, found.residual, found.boundary

    def _points(self, number: tf.Tensor) -> tf.Tensor:
        """The draws of wang2021_pinn, `[networks, 6, batch]`: two inside, and one for each edge."""
        shift = self.candidate.points
        drawn = [tf.random.stateless_uniform([6, self.batch], [seed + shift, number], -1.0, 1.0) for seed in self.seeds]
        return tf.cast(tf.stack(drawn), self.candidate.dtype)

    def _gradients(self, points: tf.Tensor) -> Gradients:
        # Networks share no variable: the gradient of the sum of their losses holds the gradient of each.
        with tf.GradientTape() as inside:
            residual = self._residual(points)
        with tf.GradientTape() as edges:
            boundary = self._boundary(points)
        variables = self.stack.variables
        of_residual = inside.gradient(residual, variables, unconnected_gradients="zero")
        return Gradients(residual, boundary, of_residual, edges.gradient(boundary, variables))

    def _residual(self, points: tf.Tensor) -> tf.Tensor:
        inside = tf.stack([points[:, 0], points[:, 1]], axis=2)
        u, curvature = self.stack.with_laplacian(inside)
        target = (1 - 17 * math.pi**2) * solution(inside)
        return tf.reduce_mean((curvature + u - target) ** 2, axis=1)

    def _boundary(self, points: tf.Tensor) -> tf.Tensor:
        """The sum of the mean squares on the four edges, where u should be 0."""
        one = tf.ones_like(points[:, 0])
        sides = [(one, points[:, 2]), (-one, points[:, 3]), (points[:, 4], one), (points[:, 5], -one)]
        u = self.stack(tf.concat([tf.stack(side, axis=2) for side in sides], axis=1))
        return 4 * tf.reduce_mean(u**2, axis=1)

    def _next(self, weight: tf.Tensor, found: Gradients) -> tf.Tensor:
        """The lambdas that follow `weight`, by the sizes of the gradients."""
        candidate = self.candidate
        counted = slice(None if candidate.biases else len(self.stack.kernels))
        largest = [tf.reduce_max(tf.abs(one), axis=[1, 2]) for one in found.of_residual[counted]]
        sums = [tf.reduce_sum(tf.abs(one), axis=[1, 2]) for one in found.of_boundary[counted]]
        counts = [math.prod(one.shape[1:]) for one in found.of_boundary[counted]]
        if candidate.by_layer:
            size = tf.add_n([total / count for total, count in zip(sums, counts, strict=True)]) / len(sums)
        else:
            size = tf.add_n(sums) / sum(counts)
        if candidate.own_weight:
            size *= weight
        return candidate.old * weight + (1 - candidate.old) * tf.reduce_max(tf.stack(largest), axis=0) / size


def solution(points: tf.Tensor) -> tf.Tensor:
    """u at `points` `[..., 2]`."""
    return tf.sin(math.pi * points[..., 0]) * tf.sin(4 * math.pi * points[..., 1])
