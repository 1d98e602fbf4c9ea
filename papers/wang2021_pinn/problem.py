"""The Helmholtz problem u_xx + u_yy + u = f on [-1, 1]^2, solved by sin(pi x) sin(4 pi y), and a network for it."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

#: The standard deviation of what is uniform on [-1, 1], by which the inputs are divided.
SPREAD = 2 / math.sqrt(12)


def solution(points: tf.Tensor) -> tf.Tensor:
    """u at `points` `[n, 2]`, as `[n, 1]`."""
    return tf.sin(math.pi * points[:, :1]) * tf.sin(4 * math.pi * points[:, 1:])


def grid(size: int) -> tf.Tensor:
    """`size` x `size` points, the edges among them, y running fastest."""
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, size)], indexing="ij")
    return tf.constant(np.stack([x.ravel(), y.ravel()], axis=1), tf.float32)


def network(hidden_layers: int, width: int) -> keras.Sequential:
    """Tanh layers; takes points over `SPREAD`."""
    hidden = [keras.layers.Dense(width, "tanh") for _ in range(hidden_layers)]
    return keras.Sequential([keras.Input([2]), *hidden, keras.layers.Dense(1)])


def initialize(net: keras.Sequential, seed: int) -> None:
    """Kernels from N(0, 2 / (inputs + outputs)), biases 0."""
    for place, layer in enumerate(net.layers):
        shape = layer.kernel.shape
        layer.kernel.assign(tf.random.stateless_normal(shape, [seed, place]) * math.sqrt(2 / sum(shape)))
        layer.bias.assign(tf.zeros_like(layer.bias))


def losses(net: keras.Sequential, batch: int, seed: Any) -> dict[str, tf.Tensor]:
    """The mean squares of the residual and, summed over the four edges, of u, at `batch` new points for each."""
    draws = tf.random.stateless_uniform([6, batch], seed, -1.0, 1.0)
    inside = tf.stack([draws[0], draws[1]], axis=1)
    u, curvature = _with_laplacian(net, inside)
    residual = curvature + u - (1 - 17 * math.pi**2) * solution(inside)
    one = tf.ones([batch])
    sides = [(one, draws[2]), (-one, draws[3]), (draws[4], one), (draws[5], -one)]
    edges = tf.concat([tf.stack(side, axis=1) for side in sides], axis=0)
    on_edges = net(edges / SPREAD)  # u should be 0: four means of as many points, so that their sum is 4 times the mean
    return {"residual": tf.reduce_mean(residual**2), "boundary": 4 * tf.reduce_mean(on_edges**2)}


def _with_laplacian(net: keras.Sequential, points: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """u and u_xx + u_yy: value, slopes and Laplacian go forward through the layers, cheaper than nested tapes."""
    along = [tf.broadcast_to(tf.constant(axis), tf.shape(points)) for axis in ([1 / SPREAD, 0.0], [0.0, 1 / SPREAD])]
    parts = [points / SPREAD, *along, tf.zeros_like(points)]
    for layer in net.layers:
        value, x, y, laplacian = (part @ layer.kernel for part in parts)
        value += layer.bias
        if layer is net.layers[-1]:
            return value, laplacian
        value = tf.tanh(value)
        slope = 1 - value**2
        parts = [value, slope * x, slope * y, slope * (laplacian - 2 * value * (x**2 + y**2))]
    raise ValueError("A network needs at least one layer.")
