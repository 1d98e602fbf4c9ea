"""The two objectives and their Pareto set."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

#: What the logarithms' arguments are not below.
FLOOR = 5e-6


def losses(x: tf.Tensor, scale: Any = 1.0, floor: Any = FLOOR) -> tuple[tf.Tensor, tf.Tensor]:
    """L1 and L2 at `x` `[2, ...]`: logarithms where x2 > 0, parabolas where x2 < 0; `scale` is L1's."""
    x1, x2 = x[0], x[1]
    tiny = tf.convert_to_tensor(floor, x.dtype)
    f1 = tf.math.log(tf.maximum(tf.abs(0.5 * (-x1 - 7) - tf.tanh(-x2)), tiny)) + 6
    f2 = tf.math.log(tf.maximum(tf.abs(0.5 * (-x1 + 3) + tf.tanh(-x2) + 2), tiny)) + 6
    s1 = ((-x1 + 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    s2 = ((-x1 - 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    # At x2 = 0 both have the slope of their first argument. With the arguments exchanged both slopes would be 0, and
    # (0, 0), where c1 = c2 = 0, a point that nothing leaves.
    c1 = tf.maximum(tf.tanh(0.5 * x2), 0.0)
    c2 = tf.maximum(tf.tanh(-0.5 * x2), 0.0)
    return scale * (f1 * c1 + s1 * c2), f2 * c1 + s2 * c2


def gradients(x: tf.Tensor) -> tf.Tensor:
    """The gradients of L1 and L2 (scale 1) at `x` `[2, ...]`: `[2, 2, ...]`."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        values = losses(x)
    return tf.stack([tape.gradient(value, x) for value in values])


def stationarity(x: tf.Tensor) -> tf.Tensor:
    """The length of the shortest point between the two gradients (scale 1): 0 where `x` is Pareto-stationary."""
    first, second = tf.unstack(gradients(x))
    between = first - second
    part = tf.math.divide_no_nan(tf.reduce_sum(-second * between, axis=0), tf.reduce_sum(between**2, axis=0))
    return tf.norm(second + tf.clip_by_value(part, 0.0, 1.0) * between, axis=0)


def reached(end: np.ndarray, short: float) -> bool:
    """Whether a path that ended at `end`, with the stationarity `short`, came to the Pareto set.

    That is a curve near x2 = -8.4 from x1 = -7 to 7; the points above, at which paths get stuck, are no part of it.
    """
    return bool(short < 1e-2 and end[1] < -8)


def front() -> np.ndarray:
    """The Pareto set, `[2, n]`: the x2 at which the gradients are parallel, bisected for each x1 between -7 and 7."""
    x1 = np.linspace(-7, 7, 141)
    low, high = np.full_like(x1, -9.0), np.full_like(x1, -8.0)
    for _ in range(50):
        middle = (low + high) / 2
        g = gradients(np.stack([x1, middle])).numpy()
        # At x1 = -7 and 7 one parabola's slope along x1 is 0, and the determinant is the other's times its x2 slope.
        below = g[0, 0] * g[1, 1] - g[0, 1] * g[1, 0] > 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.stack([x1, (low + high) / 2])
