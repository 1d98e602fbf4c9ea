"""AdaptiveBarron's location estimate: asymptotically that of `Barron` with the shape and scale that fit the law best.

For a symmetric law the location's estimate is uncorrelated with those of shape and scale, which only have to converge.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from blendloss import losses
from papers.huber1964_location.asymptotic import WIDTH


def fits(shares: tuple[float, ...], steps: int) -> Iterator[losses.Barron]:
    """For each mixture, from the last, the Barron of the least expected negative log-likelihood.

    The least contaminated comes last: there alpha goes to the end of its range, where its
    latent has no slope to return.
    """
    loss = losses.AdaptiveBarron(dtype="float64")
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build(loss.trainable_variables)
    z = (np.arange(600) + 0.5) * 0.015
    r = tf.constant(np.concatenate([z, WIDTH * z])[:, np.newaxis])
    zero = tf.zeros_like(r)
    p = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()

    @tf.function(jit_compile=True)
    def fit(weights: tf.Tensor) -> None:
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                expected = tf.reduce_sum(weights * loss(zero, r))
            gradients = tape.gradient(expected, loss.trainable_variables)
            optimizer.apply(gradients, loss.trainable_variables)

    for share in reversed(shares):
        fit(tf.constant(np.concatenate([(1 - share) * p, share * p])))
        alpha, scale = (float(value) for value in loss.alpha_and_scale())
        yield losses.Barron(alpha, scale)
