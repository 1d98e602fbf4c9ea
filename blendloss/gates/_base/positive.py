"""Non-negative parameters trained without constraint: w = theta^2.

A function that is convex in w has no false minimum in theta: every second-order stationary point is a global one
(Ding and Wright, "On squared-variable formulations", 2023, theorem 2.3). Under softplus or exp an overshooting step can
strand theta far below 0, where the gradient has vanished; here 0 is a point that training passes through.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Keeps log w, and its derivative at theta = 0, finite; nothing in float32 next to weights that count.
_LEAST = 1e-30


def log_square(theta: tf.Tensor) -> tf.Tensor:
    """log(theta^2), finite at 0; float32 where `theta` is of half precision, in whose range 1e-30 is not."""
    theta = tf.cast(theta, tf.float32) if theta.dtype.size < 4 else theta
    return tf.math.log(tf.square(theta) + tf.constant(_LEAST, theta.dtype))


def root(weights: np.ndarray) -> np.ndarray:
    """theta >= 0 with theta^2 = `weights`."""
    return np.sqrt(weights)
