"""Traces of the neural tangent kernels of the losses' residuals, exact or estimated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from blendloss._internal import random
from blendloss._internal.replicas import is_replicated, sum_over_replicas
from blendloss.gates._base.loss_gradients import LossGradients

Pullback = Callable[[tf.Tensor], list[tf.Tensor | None]]
# An odd number of 64 bits, so that each loss draws by a seed of its own.
_OWN = 0xD1B54A32D192ED03


class Trace(Protocol):
    """A way to compute tr J J^T."""

    def __call__(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        """tr J J^T, float64, where `pullback` is v -> J^T v, in parts, for v of the shape of `residual`, of loss k."""

    def of_replica(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        """What a replica, which has some of the residuals, knows of the trace; the replicas' tensors add up."""

    def of_all(self, total: tf.Tensor) -> tf.Tensor:
        """tr J J^T, float64, from the sum of what the replicas know."""


@dataclasses.dataclass(frozen=True)
class Exact:
    """The trace itself, by a backward pass for each residual."""

    def __call__(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        return exact_trace(pullback, tf.shape(residual))

    of_replica = __call__  # each residual adds the square of its own gradient

    def of_all(self, total: tf.Tensor) -> tf.Tensor:
        """The sum itself."""
        return total


@dataclasses.dataclass(frozen=True)
class Estimated:
    """Hutchinson's estimate by `probes` backward passes, whose vectors are a function of `seed`, loss and step."""

    probes: int
    seed: int

    def __call__(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        return estimated_trace(pullback, tf.shape(residual), self.probes, self._drawn(residual, k, step))

    def of_replica(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        """J^T v over the replica's residuals, `[probes, size]`, as a probe goes through the residuals of all."""
        shape = tf.shape(residual)

        def pulled(signs: tf.Tensor) -> tf.Tensor:
            parts = [tf.reshape(part, [-1]) for part in pullback(tf.reshape(signs, shape)) if part is not None]
            wide = tf.float64 if any(part.dtype == tf.float64 for part in parts) else tf.float32
            return tf.concat([tf.cast(part, wide) for part in parts], axis=0)

        return tf.stack([pulled(signs) for signs in tf.unstack(_signs(self._drawn(residual, k, step)), self.probes)])

    def of_all(self, total: tf.Tensor) -> tf.Tensor:
        """The mean of |J^T v|^2."""
        return tf.reduce_sum(tf.square(tf.cast(total, tf.float64))) / self.probes

    def _drawn(self, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        """Numbers in (0, 1), `[probes, N]`, by the place of a residual in the batch of all replicas."""
        seed = (self.seed + k * _OWN) % 2**64
        drawn = random.by_example([tf.size(residual), self.probes], seed, step, stream=random.PROBES)
        return tf.transpose(drawn)


def kernel_traces(
    gradients: LossGradients, residuals: Any, trace: Trace, step: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """tr K_k of the whole batch and the number of its residuals, both `[K]`, float64, on all replicas."""
    places = gradients.places()

    def pullback_of(residual: tf.Tensor) -> Pullback:
        def pullback(seed: tf.Tensor) -> list[tf.Tensor | None]:
            found = gradients.of([residual], [tf.cast(seed, residual.dtype)])
            return [found[place] for place in places]

        return pullback

    number = tf.stack([tf.cast(tf.size(residual), tf.float64) for residual in residuals])
    if not is_replicated():
        traces = [trace(pullback_of(residual), residual, k, step) for k, residual in enumerate(residuals)]
        return tf.stack(traces), number
    known = [trace.of_replica(pullback_of(residual), residual, k, step) for k, residual in enumerate(residuals)]
    *totals, number = sum_over_replicas([*known, number])
    return tf.stack([trace.of_all(total) for total in totals]), number


def exact_trace(pullback: Pullback, shape: Any) -> tf.Tensor:
    """tr J J^T = sum_i |J^T e_i|^2, float64, by one backward pass after the other, in the memory of one.

    Args:
        pullback: v -> J^T v, in parts, for v of `shape`.
        shape: of the residuals.
    """
    size = tf.reduce_prod(shape)
    return _summed(lambda i: pullback(tf.reshape(tf.cast(tf.range(size) == i, tf.float32), shape)), size)


def estimated_trace(pullback: Pullback, shape: Any, probes: int, uniforms: tf.Tensor) -> tf.Tensor:
    """The mean of |J^T v|^2 over vectors v of random signs, whose expectation is tr J J^T (Hutchinson), float64.

    Args:
        pullback: v -> J^T v, in parts, for v of `shape`.
        shape: of the residuals.
        probes: the number of vectors.
        uniforms: `[probes, N]` in (0, 1).
    """
    signs = _signs(uniforms)
    return _summed(lambda i: pullback(tf.reshape(signs[i], shape)), tf.constant(probes)) / probes


def _signs(uniforms: tf.Tensor) -> tf.Tensor:
    return tf.where(uniforms < 0.5, -tf.ones_like(uniforms), tf.ones_like(uniforms))


def _summed(parts_of: Callable[[tf.Tensor], list[tf.Tensor | None]], number: tf.Tensor) -> tf.Tensor:
    """The sum over i below `number` of |parts_of(i)|^2, one after the other."""

    def step(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parts = [tf.cast(part, tf.float64) for part in parts_of(i) if part is not None]
        return i + 1, sum((tf.reduce_sum(tf.square(part)) for part in parts), total)

    start = tf.constant(0), tf.constant(0.0, tf.float64)
    return tf.while_loop(lambda i, _: i < number, step, start, parallel_iterations=1)[1]
