"""The logistic-normal family."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates.families._family import Family, Parameters


@register
class LogisticNormal(Family):
    """Logistic-normal: the softmax of independent normal logits.

    z_k = mu_k + sigma_k e_k, e ~ N(0, 1), prior N(m_k, s_k^2);
    KL = sum_k log(s_k / sigma_k) + (sigma_k^2 + (mu_k - m_k)^2) / (2 s_k^2) - 1/2. The parameters are `mean` (mu) and
    `log_scale` (log sigma).

    Args:
        mean: m, one number for all losses or a list of K.
        scale: s > 0, one number for all losses or a list of K.

    Returns:
        `sample` returns z, `[..., K]`. `point_estimate` returns mu, `[K]`. softmax(mu) is the gating vector of the
        median logits; the mean gating vector has no closed form. `distribution` is that of the logits.

    Raises:
        TypeError: if an argument is neither a number nor a list of numbers.
        ValueError: if a scale is not positive, or a list does not have one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Bayesian(bl.gates.families.LogisticNormal(scale=2.0), examples=1000, seed=0)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate)
        >>> gate.posterior().stddev().numpy().tolist()
        [2.0, 2.0]

    References:
        Aitchison and Shen, "Logistic-normal distributions: some properties and uses", Biometrika 67 (1980);
        Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, section 2.4.

    Deviations:
        All K logits are normal, although softmax ignores a common shift. The KL includes that direction, so it is an
        upper bound of the KL between the gating vectors.
    """

    uniforms = 1

    def __init__(self, mean: Any = 0.0, scale: Any = 1.0) -> None:
        self.mean = checks.number_or_numbers("mean", mean, checks.finite)
        self.scale = checks.number_or_numbers("scale", scale, checks.positive)

    def prior(self, k: int) -> dict[str, list[float]]:
        scales = checks.for_each("scale", self.scale, k)
        return {"mean": checks.for_each("mean", self.mean, k), "log_scale": [math.log(scale) for scale in scales]}

    def sample(self, parameters: Parameters, uniform: tf.Tensor) -> tf.Tensor:
        return parameters["mean"] + tf.exp(parameters["log_scale"]) * tf.math.ndtri(uniform[0])

    def point_estimate(self, parameters: Parameters) -> tf.Tensor:
        return parameters["mean"]

    def divergence(self, parameters: Parameters, prior: Parameters) -> tf.Tensor:
        log_ratio = parameters["log_scale"] - prior["log_scale"]
        shift = (parameters["mean"] - prior["mean"]) * tf.exp(-prior["log_scale"])
        # (x^2 - 1) / 2 - log x by expm1, which is more accurate if posterior and prior are close.
        return tf.reduce_sum((tf.math.expm1(2 * log_ratio) + tf.square(shift)) / 2 - log_ratio)

    def distribution(self, parameters: Parameters) -> Any:
        import tensorflow_probability as tfp

        return tfp.distributions.MultivariateNormalDiag(parameters["mean"], tf.exp(parameters["log_scale"]))

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "scale": self.scale}
