"""Traces of the neural tangent kernels of the losses' residuals, exact or estimated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from blendloss._internal import random
from blendloss._internal.replicas import sum_over_replicas
from blendloss.gates._base.loss_gradients import LossGradients

Pullback = Callable[[tf.Tensor], list[tf.Tensor | None]]
# An odd number of 64 bits, so that each loss draws by a seed of its own.
_OWN = 0xD1B54A32D192ED03


class Trace(Protocol):
    """A way to compute tr J J^T."""

    def __call__(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        """tr J J^T, float64, where `pullback` is v -> J^T v, in parts, for v of the shape of `residual`, of loss k."""


@dataclasses.dataclass(frozen=True)
class Exact:
    """The trace itself, by a backward pass for each residual."""

    def __call__(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        return exact_trace(pullback, tf.shape(residual))


@dataclasses.dataclass(frozen=True)
class Estimated:
    """Hutchinson's estimate by `probes` backward passes, whose vectors are a function of `seed`, loss and step."""

    probes: int
    seed: int

    def __call__(self, pullback: Pullback, residual: tf.Tensor, k: int, step: tf.Tensor | None) -> tf.Tensor:
        shape = tf.shape(residual)
        seed = (self.seed + k * _OWN) % 2**64
        drawn = random.by_example([tf.size(residual), self.probes], seed, step, stream=random.PROBES)
        return estimated_trace(pullback, shape, self.probes, tf.transpose(drawn))


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

    traces = [trace(pullback_of(residual), residual, k, step) for k, residual in enumerate(residuals)]
    numbers = [tf.cast(tf.size(residual), tf.float64) for residual in residuals]
    total, number = sum_over_replicas([tf.stack(traces), tf.stack(numbers)])
    return total, number


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
    signs = tf.where(uniforms < 0.5, -tf.ones_like(uniforms), tf.ones_like(uniforms))
    return _summed(lambda i: pullback(tf.reshape(signs[i], shape)), tf.constant(probes)) / probes


def _summed(parts_of: Callable[[tf.Tensor], list[tf.Tensor | None]], number: tf.Tensor) -> tf.Tensor:
    """The sum over i below `number` of |parts_of(i)|^2, one after the other."""

    def step(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parts = [tf.cast(part, tf.float64) for part in parts_of(i) if part is not None]
        return i + 1, sum((tf.reduce_sum(tf.square(part)) for part in parts), total)

    start = tf.constant(0), tf.constant(0.0, tf.float64)
    return tf.while_loop(lambda i, _: i < number, step, start, parallel_iterations=1)[1]
