"""Weights of least variance, as a function of moments."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import conversion
from blendloss._internal.assertions import require
from blendloss._solvers.least_variance import least_variance


def least_variance_weights(second: Any, curvature: Any) -> tf.Tensor:
    """The weights of the blend of losses whose estimate has the least asymptotic variance.

        argmin over g >= 0 of V(g) = g'Ag / (b'g)^2, with b'g = 1,    A = E psi psi',    b = E psi'

    It is the function that `ScoreMatching` applies to its running moments. For several problems at once, give A and b
    leading axes.

    Args:
        second: A, `[..., K, K]`, symmetric and positive semidefinite: the second moments of the losses' slopes psi_k.
        curvature: b, `[..., K]`: their mean derivatives.

    Returns:
        g, `[..., K]`, of the dtype of `second`, solved in float64. A loss whose b_k is not positive, or whose slope is
        0, has the weight 0; all have where every loss is so. No gradient flows through it.

    Raises:
        TypeError: if an argument is not floating.
        ValueError: if the shapes do not fit.
        InvalidArgumentError: if a value is not finite.

    Example:
        >>> import blendloss as bl
        >>> weights = bl.gates.least_variance_weights([[1.0, 0.5], [0.5, 1.0]], [1.0, 0.8])
        >>> weights.numpy().round(4).tolist()  # A^-1 b, up to its length
        [0.7143, 0.3571]

    References:
        Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964: the asymptotic
        variance E psi^2 / (E psi')^2 of an M-estimate.
    """
    second = conversion.floating("second", second, "[..., K, K]")
    curvature = conversion.floating("curvature", curvature, "[..., K]")
    expected = curvature.shape + curvature.shape[-1:]
    if not second.shape.is_compatible_with(expected):
        raise ValueError(
            f"`second` must have the shape of `curvature` and one more axis of K = {curvature.shape[-1]}. "
            f"Received: shapes {second.shape} and {curvature.shape}"
        )
    finite = tf.reduce_all(tf.math.is_finite(second)) & tf.reduce_all(tf.math.is_finite(curvature))
    second = require(finite, "`second` and `curvature` must be finite.", second)
    k = tf.shape(curvature)[-1]
    problems = tf.reshape(tf.cast(second, tf.float64), [-1, k, k])
    found = least_variance(problems, tf.reshape(tf.cast(curvature, tf.float64), [-1, k])).weights
    return tf.stop_gradient(
        tf.ensure_shape(tf.reshape(tf.cast(found, second.dtype), tf.shape(curvature)), curvature.shape)
    )
