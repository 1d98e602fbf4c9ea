"""Gamma variates by inversion, in log space."""

from __future__ import annotations

import tensorflow as tf

#: Above it, the Cornish-Fisher expansion is within 3e-10 of log x, out to 8 standard deviations; the incomplete gamma
#: function's derivative in the concentration loses its digits from 1e4 on (TensorFlow 2.21: 20% off at 1e5).
_LARGE = 2000.0


def log_gamma_variate(concentration: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """log x with x ~ Gamma(a, 1), differentiable in a: the implicit reparameterisation gradient.

    log x = log Q^{-1}(u_0; a + 1) + log(u_1) / a with the Gamma(a + 1) quantile Q^{-1}: the product of a Gamma(a + 1)
    and a U^(1/a) variate is Gamma(a). In log space nothing underflows as a -> 0.

    Args:
        concentration: a > 0, `[K]`, float64.
        uniform: u, `[2, ..., K]`, in (0, 1), float64.

    Returns:
        `[..., K]`, float64.
    """
    return tf.math.log(_quantile(concentration + 1, uniform[0])) + tf.math.log(uniform[1]) / concentration


def _quantile(a: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """The Gamma(a, 1) quantile for a >= 1."""
    import tensorflow_probability as tfp

    a = tf.broadcast_to(a, tf.shape(u))
    exact = tfp.math.igammainv(tf.minimum(a, _LARGE), u)
    return tf.where(a > _LARGE, _cornish_fisher(tf.maximum(a, _LARGE), tf.math.ndtri(u)), exact)


def _cornish_fisher(a: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """The Gamma(a, 1) quantile at the normal quantile z, to O(a^-5/2)."""
    root, square = tf.sqrt(a), z * z
    terms = [
        z * root,
        (square - 1) / 3,
        z * (square - 7) / (36 * root),
        -((3 * square + 7) * square - 16) / (810 * a),
        z * ((9 * square + 256) * square - 433) / (38880 * a * root),
        (((12 * square - 243) * square - 923) * square + 1472) / (204120 * a * a),
    ]
    return a + tf.add_n(terms)
