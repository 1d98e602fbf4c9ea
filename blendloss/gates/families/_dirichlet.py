"""The Dirichlet family."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates.families._family import Family, Parameters
from blendloss.gates.families._gamma import log_gamma_variate


@register
class Dirichlet(Family):
    """Dirichlet: the conjugate family of the simplex.

    z_k = log x_k with x_k ~ Gamma(a_k, 1): softmax(z) = x / sum(x) is exactly a Dirichlet(a) sample. Prior
    Dirichlet(b); KL = log G(A) - log G(B) - sum_k [log G(a_k) - log G(b_k) - (a_k - b_k) (psi(a_k) - psi(A))] with the
    gamma function G, its logarithmic derivative psi, A = sum(a), B = sum(b). The parameter is `log_concentration`.

    Args:
        concentration: b > 0, one number for all losses or a list of K. 1 is uniform on the simplex; less than 1 favours
            few losses.

    Returns:
        `sample` returns z, `[..., K]`. `point_estimate` returns log a, `[K]`; softmax(log a) = a / A is the mean.

    Raises:
        TypeError: if `concentration` is neither a number nor a list of numbers.
        ValueError: if a number is not positive, or the list does not have one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Bayesian(bl.gates.families.Dirichlet([1.0, 3.0]), examples=1000, seed=0)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate)
        >>> [round(g, 3) for g in gate.posterior().mean().numpy().tolist()]
        [0.25, 0.75]

    References:
        Figurnov, Mohamed and Mnih, "Implicit Reparameterization Gradients", NeurIPS 2018; Stuart,
        "Gamma-distributed products of independent random variables", Biometrika 49 (1962), for the product of variates.

    Deviations:
        Samples are drawn by inverting the distribution function, not by rejection, so that every regime has the same
        numbers.
    """

    uniforms = 2

    def __init__(self, concentration: Any = 1.0) -> None:
        self.concentration = checks.number_or_numbers("concentration", concentration, checks.positive)

    def prior(self, k: int) -> dict[str, list[float]]:
        concentrations = checks.for_each("concentration", self.concentration, k)
        return {"log_concentration": [math.log(concentration) for concentration in concentrations]}

    def sample(self, parameters: Parameters, uniform: tf.Tensor) -> tf.Tensor:
        return log_gamma_variate(tf.exp(parameters["log_concentration"]), uniform)

    def point_estimate(self, parameters: Parameters) -> tf.Tensor:
        return parameters["log_concentration"]

    def divergence(self, parameters: Parameters, prior: Parameters) -> tf.Tensor:
        a, b = tf.exp(parameters["log_concentration"]), tf.exp(prior["log_concentration"])
        whole, before = tf.reduce_sum(a), tf.reduce_sum(b)
        of_each = tf.math.lgamma(a) - tf.math.lgamma(b) - (a - b) * (tf.math.digamma(a) - tf.math.digamma(whole))
        return tf.math.lgamma(whole) - tf.math.lgamma(before) - tf.reduce_sum(of_each)

    def distribution(self, parameters: Parameters) -> Any:
        import tensorflow_probability as tfp

        return tfp.distributions.Dirichlet(tf.exp(parameters["log_concentration"]))

    def get_config(self) -> dict[str, Any]:
        return {"concentration": self.concentration}
