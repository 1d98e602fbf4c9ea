"""A mixture of the losses' laws: each residual chooses, by likelihood."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.serialization import register
from blendloss._likelihood.partition import Partition, log_partition_alone
from blendloss._likelihood.predictive import interval
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.losses._math.quadrature import values_at


@register
class Mixture(Gate):
    """Mixture gate: each residual weighs the losses by how likely each one's law makes it.

        p_k(r) = exp(-rho_k(r / c_k)) / (c_k Z_k),    logits z_k(r) = log pi_k + log p_k(r)
        L = mean sum_k g_k (-log p_k(r)) + KL(g || pi),    g = mode(z(r))

    Under `Soft()` g are the responsibilities of the mixture, and L is its negative log-likelihood
    -log sum_k pi_k p_k(r): value, gradient and curvature. Under any other mode L is a bound from above (the variational
    one); with `Hard()` it is what classification EM minimizes. Proportions pi = softmax(theta) and scales c_k are
    trained; the residuals' gradients flow through the responsibilities too. With several outputs each element chooses
    by itself.

    The likelihood of a mixture may have several maxima, and is not bounded where a component may shrink onto a single
    residual: start the scales apart and near the truth, and watch them.

    Args:
        scales: c_k at the start, `[K]`, positive, in units of the residual and times the penalties' own; None is all 1.
        learn_scales: whether the c_k are trained.
        name: the layer's name.
        dtype: of the parameters and the logits.

    Returns:
        `gating(context)` gives z, of the residual's shape and K, and the c_k; `cost` gives the rest of L by element.

    Raises:
        TypeError: if a loss is no penalty, or an argument has the wrong type.
        ValueError: if a penalty is no law by itself (exp(-rho) has no finite integral, as for Welsch's, or Cauchy's of
            scale 1: `Cauchy(2**0.5)` is the Cauchy law), or two components start equal: they would stay so.

    Example:
        >>> import blendloss as bl
        >>> narrow, broad = bl.losses.SquaredError(), bl.losses.SquaredError(scale=10.0)
        >>> gate = bl.gates.Mixture()
        >>> blend = bl.Blend({"narrow": narrow, "broad": broad}, gate)
        >>> [round(float(g), 3) for g in gate.responsibilities(0.0)]
        [0.909, 0.091]
        >>> [round(float(g), 3) for g in gate.responsibilities(5.0)]
        [0.0, 1.0]

    References:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", JRSS B 39 (1977),
        section 4.3; the bound: Neal and Hinton, "A view of the EM algorithm" (1998), eq. 7; Hard: Celeux and Govaert,
        Comput. Statist. Data Anal. 14 (1992).

    Deviations:
        Trained by gradients, not by alternating steps.
    """

    needs = Needs.RESIDUAL | Needs.PENALTIES | Needs.RESIDUAL_SLOPE
    elementwise = True
    why_small_weights_are_fine = "it was chosen by likelihood, and says that few residuals follow that loss's law"

    def __init__(
        self, scales: Any = None, *, learn_scales: bool = True, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.scales = (
            None if scales is None else checks.finites("scales", scales, checks.positive, dtype=self.compute_dtype)
        )
        self.learn_scales = checks.boolean("learn_scales", learn_scales)
        # Set once the losses are known.
        self.log_partitions: list[float] = []
        self.proportion_logits: Any = None
        self.log_scales: Any = None

    def create_state(self, k: int) -> None:
        scales = [1.0] * k if self.scales is None else self.scales
        if len(scales) != k:
            raise ValueError(f"`scales` must have one scale for each of the {k} losses. Received: {self.scales}")
        self.log_partitions = [log_partition_alone(*pair) for pair in zip(self.names, self.penalties, strict=True)]
        self._check_different(scales)
        self.proportion_logits = self.add_weight(
            name="proportion_logits", shape=(k,), initializer=keras.initializers.Zeros()
        )
        self.log_scales = self.add_weight(
            name="log_scales", shape=(k,), initializer=keras.initializers.Zeros(), trainable=self.learn_scales
        )
        self.log_scales.assign(np.log(scales))

    def _check_different(self, scales: list[float]) -> None:
        """Raises where two components start as one law, however it is written."""
        r = np.array([-30.0, -3.0, -0.3, 0.0, 0.3, 3.0, 30.0]) * np.median(scales)
        laws = [
            -values_at(penalty, r / scale) - np.log(scale) - log_partition
            for penalty, scale, log_partition in zip(self.penalties, scales, self.log_partitions, strict=True)
        ]
        for k, law in enumerate(laws):
            for i, other in enumerate(laws[:k]):
                if np.allclose(law, other, rtol=1e-6, atol=1e-6):
                    raise ValueError(
                        "The components of a mixture must start from different laws (penalties or `scales`), or they "
                        f"stay equal. Received: {self.names[i]!r} and {self.names[k]!r} alike, scales={self.scales}"
                    )

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        return Gating(self._logits(tf.cast(context.residual, self.compute_dtype)), scale=self._scales())

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        energy = tf.math.xlogy(shares, shares) + shares * (self._log_norms() - self._log_proportions())
        return tf.reduce_sum(energy, axis=-1)

    def responsibilities(self, residual: Any) -> tf.Tensor:
        """The probability that each residual came from each component: `[...]` -> `[..., K]`."""
        self._require_blend()
        return tf.nn.softmax(self._logits(tf.cast(conversion.real("residual", residual), self.compute_dtype)))

    def proportions_and_scales(self) -> tuple[tf.Tensor, tf.Tensor]:
        """pi and the c_k, both `[K]`, as they are now."""
        self._require_blend()
        return tf.nn.softmax(tf.convert_to_tensor(self.proportion_logits)), self._scales()

    def law(self) -> Any:
        """The fitted law of the residual y_pred - y_true: a `tfp.distributions.Mixture` of float64 scalars."""
        self._require_blend()
        import tensorflow_probability as tfp

        from blendloss._likelihood.residual_law import ResidualLaw

        one = tf.ones([1])
        components = [
            ResidualLaw((penalty,), Partition([penalty]), one, scale)
            for penalty, scale in zip(self.penalties, tf.unstack(self._scales(), len(self.penalties)), strict=True)
        ]
        logits = tf.cast(tf.convert_to_tensor(self.proportion_logits), tf.float64)
        return tfp.distributions.Mixture(tfp.distributions.Categorical(logits=logits), components)

    def interval(self, y_pred: Any, level: float = 0.9) -> tuple[tf.Tensor, tf.Tensor]:
        """The predictive interval that holds y_true with probability `level`, the rest equally on either side.

        Args:
            y_pred: predictions, any shape.
            level: in (0, 1).

        Returns:
            Its lower and upper end, of the shape of `y_pred`.
        """
        return interval(self.law(), tf.reduce_max(self._scales()), y_pred, level)

    def _logits(self, residual: tf.Tensor) -> tf.Tensor:
        scales = tf.unstack(self._scales(), len(self.penalties))
        values = [penalty.value(residual / scale) for penalty, scale in zip(self.penalties, scales, strict=True)]
        return self._log_proportions() - self._log_norms() - tf.stack(values, axis=-1)

    def _scales(self) -> tf.Tensor:
        return tf.exp(tf.convert_to_tensor(self.log_scales))

    def _log_norms(self) -> tf.Tensor:
        return tf.constant(self.log_partitions, self.compute_dtype) + tf.convert_to_tensor(self.log_scales)

    def _log_proportions(self) -> tf.Tensor:
        return tf.nn.log_softmax(tf.convert_to_tensor(self.proportion_logits))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scales": self.scales, "learn_scales": self.learn_scales}
