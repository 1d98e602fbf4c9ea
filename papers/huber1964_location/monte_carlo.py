"""M-estimates of location of many samples at once, by halving intervals on the slope of the library's loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import tensorflow as tf

from blendloss import losses
from papers.huber1964_location.asymptotic import WIDTH

# An interval of some 8 ends at 3e-5, which adds nothing to a variance of 1 / 200.
_HALVINGS = 18


def contaminated(seed: tf.Tensor, share: tf.Tensor, shape: list[int]) -> tf.Tensor:
    """Draws from (1 - share) N(0, 1) + share N(0, 9)."""
    seeds = tf.random.split(seed, 2)
    wide = tf.random.stateless_uniform(shape, seeds[0]) < share
    return tf.where(wide, WIDTH, 1.0) * tf.random.stateless_normal(shape, seeds[1])


def estimator(penalty: losses.Penalty, size: int, samples: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """(seed, share) -> the mean square of the estimates of `samples` samples of `size` around the location 0."""

    @tf.function(jit_compile=True)
    def mean_square(seed: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        y = contaminated(seed, share, [size, samples])
        # Not every slope is monotone: what is found is the minimum next to the median.
        median = _root(losses.AbsoluteError(), y, tf.reduce_min(y, 0), tf.reduce_max(y, 0))
        return tf.reduce_mean(_root(penalty, y, median - 2, median + 2) ** 2)

    return mean_square


def _root(penalty: losses.Penalty, y: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Where the sum of psi(location - y) changes its sign from - to +, one for each column of `y`."""
    for _ in tf.range(_HALVINGS):
        middle = (low + high) / 2
        slope = tf.reduce_sum(penalty.slope(middle - y), 0)
        low, high = tf.where(slope <= 0, middle, low), tf.where(slope >= 0, middle, high)
    return (low + high) / 2


@lru_cache
def scales(size: int, samples: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """(seed, share) -> the relative variances of the standard deviation and of the mean absolute deviation."""

    @tf.function  # the draws take all the time, and compiled they take more
    def relative_variances(seed: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        y = contaminated(seed, share, [samples, size])
        zero = tf.zeros_like(y)
        deviations = tf.stack([tf.sqrt(losses.SquaredError()(zero, y)), losses.AbsoluteError()(zero, y)])
        return tf.math.reduce_variance(deviations, 1) / tf.reduce_mean(deviations, 1) ** 2

    return relative_variances
