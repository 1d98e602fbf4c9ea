"""Gamma variates by inversion, in log space."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.custom_gradient import custom_gradient

#: The step, relative to a, of the difference quotient for the second derivative of the incomplete gamma function in a.
_STEP = 2e-3
#: Above this a, the Cornish-Fisher expansion of log x has an error below 3e-10 up to 8 standard deviations. The
#: derivative of the incomplete gamma function in a is inaccurate from 1e4 on (TensorFlow 2.21: 20% off at 1e5).
_LARGE = 2000.0


def log_gamma_variate(concentration: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """log x with x ~ Gamma(a, 1), differentiable in a by implicit reparameterization.

    log x = log Q^{-1}(u_0; a + 1) + log(u_1) / a with the Gamma(a + 1) quantile Q^{-1}, because the product of a
    Gamma(a + 1) and a U^(1/a) variate is Gamma(a). In log space nothing underflows as a -> 0.

    Args:
        concentration: a > 0, `[K]`, float64.
        uniform: u, `[2, ..., K]`, in (0, 1), float64.

    Returns:
        `[..., K]`, float64.
    """
    return tf.math.log(_quantile(concentration + 1, uniform[0])) + tf.math.log(uniform[1]) / concentration


def _quantile(a: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """The Gamma(a, 1) quantile for a >= 1."""
    a = tf.broadcast_to(a, tf.shape(u))
    exact = _inverse(tf.minimum(a, _LARGE), u)
    return tf.where(a > _LARGE, _cornish_fisher(tf.maximum(a, _LARGE), tf.math.ndtri(u)), exact)


@custom_gradient
def _inverse(a: tf.Tensor, u: tf.Tensor) -> Any:
    """x with P(a, x) = u, P the regularized lower incomplete gamma function; dx/da = -P_a / P_x.

    TensorFlow Probability finds x in a loop. A persistent tape would differentiate the loop, which XLA cannot compile.
    """
    import tensorflow_probability as tfp

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
        x = _inverse(a, u)  # depends on a, for the second derivative
        density = tf.exp(tf.math.xlogy(a - 1, x) - x - tf.math.lgamma(a))
        return -upstream * _slope_in_a(a, x) / density, None

    return tf.stop_gradient(tfp.math.igammainv(tf.stop_gradient(a), tf.stop_gradient(u))), gradient


@custom_gradient
def _slope_in_a(a: tf.Tensor, x: tf.Tensor) -> Any:
    """P_a(a, x). TensorFlow has no P_aa: it is a central difference here, extrapolated once."""

    def central(step: tf.Tensor) -> tf.Tensor:
        return (_slope_in_a(a + step, x) - _slope_in_a(a - step, x)) / (2 * step)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step = tf.stop_gradient(_STEP * a)
        in_a = (4 * central(step / 2) - central(step)) / 3
        log = tf.math.log(x)
        in_x = tf.exp((a - 1) * log - x - tf.math.lgamma(a)) * (log - tf.math.digamma(a))
        return upstream * in_a, upstream * in_x

    return tf.raw_ops.IgammaGradA(a=tf.stop_gradient(a), x=tf.stop_gradient(x)), gradient


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
