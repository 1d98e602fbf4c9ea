"""Networks of one shape side by side: one batched product in place of a product for each network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from papers.wang2021_pinn.problem import SPREAD

#: The deviation of a standard normal number, given that it is within 2 of 0.
CUT_DEVIATION = 0.87962566103423978


class Stack:
    """Tanh networks from the plane to numbers.

    Kernels are `[networks, inputs, outputs]`, biases `[networks, 1, outputs]`; the inputs are normalized by `mean` and
    `spread` `[networks, 1, 2]`.
    """

    def __init__(self, networks: int, hidden_layers: int, width: int, dtype: str) -> None:
        sizes = [2, *hidden_layers * [width], 1]
        shapes = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.dtype = dtype
        self.kernels = [tf.Variable(tf.zeros([networks, *shape], dtype)) for shape in shapes]
        self.biases = [tf.Variable(tf.zeros([networks, 1, outputs], dtype)) for _, outputs in shapes]
        self.mean = tf.Variable(tf.zeros([networks, 1, 2], dtype))
        self.spread = tf.Variable(tf.fill([networks, 1, 2], tf.constant(SPREAD, dtype)))

    @property
    def variables(self) -> list[tf.Variable]:
        """Those that are trained."""
        return [*self.kernels, *self.biases]

    def initialize(self, seeds: Sequence[int], truncated: bool) -> None:
        """Kernels from N(0, 2 / (inputs + outputs)), as those of wang2021_pinn with the same seeds; biases 0."""
        for place, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            shape = kernel.shape[1:]
            deviation = math.sqrt(2 / sum(shape))
            if truncated:
                drawn = [tf.random.stateless_truncated_normal(shape, [seed, place]) / CUT_DEVIATION for seed in seeds]
            else:
                drawn = [tf.random.stateless_normal(shape, [seed, place]) for seed in seeds]
            kernel.assign(tf.cast(tf.stack(drawn) * deviation, self.dtype))
            bias.assign(tf.zeros_like(bias))

    def measure_scale(self, seeds: Sequence[int]) -> None:
        """Normalizes by the mean and the deviation of 1e5 points, for each network its own."""
        drawn = tf.stack([tf.random.stateless_uniform([100_000, 2], [seed, -1], -1.0, 1.0) for seed in seeds])
        drawn = tf.cast(drawn, tf.float64)
        self.mean.assign(tf.cast(tf.reduce_mean(drawn, axis=1, keepdims=True), self.dtype))
        self.spread.assign(tf.cast(tf.math.reduce_std(drawn, axis=1, keepdims=True), self.dtype))

    def __call__(self, points: tf.Tensor) -> tf.Tensor:
        """u at `points` `[networks or 1, n, 2]`, as `[networks, n]`."""
        value = (points - self.mean) / self.spread
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            value = tf.tanh(value @ kernel + bias)
        return self._last(value) + self.biases[-1][:, :, 0]

    def with_laplacian(self, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """u and u_xx + u_yy: value, slopes and Laplacian go forward through the layers, stacked into one product."""
        value = (points - self.mean) / self.spread @ self.kernels[0]
        x, y = (
            tf.broadcast_to(self.kernels[0][:, axis : axis + 1] / self.spread[:, :, axis : axis + 1], tf.shape(value))
            for axis in (0, 1)
        )
        laplacian = tf.zeros_like(value)
        for number, bias in enumerate(self.biases[:-1], start=1):
            value = tf.tanh(value + bias)
            slope = 1 - value**2
            parts = [value, slope * x, slope * y, slope * (laplacian - 2 * value * (x**2 + y**2))]
            if number == len(self.biases) - 1:
                break
            value, x, y, laplacian = tf.split(tf.concat(parts, axis=1) @ self.kernels[number], 4, axis=1)
        return self._last(parts[0]) + self.biases[-1][:, :, 0], self._last(parts[3])

    def _last(self, value: tf.Tensor) -> tf.Tensor:
        """The product with the last kernel, which has one column."""
        return tf.reduce_sum(value * tf.linalg.matrix_transpose(self.kernels[-1]), axis=2)
