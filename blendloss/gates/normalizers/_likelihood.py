"""Penalties made comparable as densities."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.reductions import accurate_sum
from blendloss._internal.replicas import sum_over_replicas
from blendloss._internal.serialization import register
from blendloss._likelihood.partition import log_partition_alone
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates.normalizers._normalizer import Normalizer, divisible
from blendloss.gates.statistics._statistic import count


@register
class Likelihood(Normalizer):
    """Makes a density of each penalty, with a scale of its own: L = sum_k s_k (rho_k(r / c_k) + log c_k + log Z_k).

        p_k(r) = exp(-rho_k(r / c_k)) / (c_k Z_k),    Z_k = integral of exp(-rho_k(u)) du

    The k-th term is -log p_k(r): on the simplex the gate chooses the density under which the residuals are likeliest,
    not the loss with the smallest numbers. L bounds the negative log-likelihood of the mixture sum_k s_k p_k from
    above. Each c_k is trained on the likelihood of its own density, whatever its share: its gradient is that of
    mean -log p_k, not s_k times that, or a loss once out of favour would keep the scale that it lost by.

    Args:
        scale: c_k at the start, positive, of about the size of the residuals: a number, or one for each loss. None
            takes the mean |r| of the first training step for its unit, so that no unit of the residuals matters.

    Returns:
        `gating(logits, context)` gives the scale c = unit * exp(log_scales), `[K]`, with the trained variable
        `log_scales` and the kept one `unit` (0 before it is known, which counts as 1; equal on all replicas); `cost`
        gives sum_k s_k (log c_k + log Z_k). In a `BlendOutput`, `losses` are the rho_k(r / c_k) alone.

    Raises:
        TypeError: if `scale` is no number and no list of numbers.
        ValueError: if `scale` is not positive, or not one for each loss; or, in the blend, if a penalty cannot be
            normalized (Welsch's, Tukey's and Geman and McClure's are bounded, Cauchy's of scale 1 grows too slowly).

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Learned(normalize=bl.gates.normalizers.Likelihood(scale=1.0))
        >>> blend = bl.Blend({"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}, gate=gate)
        >>> round(float(blend.compute([[0.0]], [[0.0]], step=0).cost), 3)  # (log sqrt(pi) + log 2) / 2
        0.633

    References:
        Scales as parameters of a likelihood: Barron, "A General and Adaptive Robust Loss Function", CVPR 2019, eq. 16.

    Deviations:
        none; the gradient in c_k is as above.
    """

    needs = Needs.RESIDUAL | Needs.PENALTIES
    has_cost = True
    why_small_weights_are_fine = "it was chosen by likelihood: the residuals do not follow that loss's law"

    def __init__(self, scale: Any = None) -> None:
        super().__init__()
        self.scale = None if scale is None else checks.number_or_numbers("scale", scale, checks.positive)
        self.stateful = self.scale is None
        # Set once the losses are known; there is a unit only where no scale is given.
        self.log_partitions: tuple[float, ...] = ()
        self.log_scales: Any = None
        self.unit: Any = None

    def create_state(self, k: int) -> None:
        scales = checks.for_each("scale", 1.0 if self.scale is None else self.scale, k)
        self.log_partitions = tuple(map(log_partition_alone, self.names, self.penalties))
        self.log_scales = self.add_weight(name="log_scales", shape=(k,), initializer=keras.initializers.Zeros())
        self.log_scales.assign(np.log(scales))
        if self.scale is None:
            self.unit = self.add_state("unit")

    def gating(self, logits: tf.Tensor, context: Context) -> Gating:
        self._require_blend()
        if self.unit is not None and context.training:
            unit, now = tf.convert_to_tensor(self.unit), tf.cast(_mean_size(context), self.compute_dtype)
            self.unit.assign(tf.where((unit == 0) & divisible(now), now, unit))
        return Gating(logits, scale=tf.exp(self._log_scales()))

    def cost(self, shares: tf.Tensor, context: Context) -> tf.Tensor:
        log_scales = self._log_scales()
        log_norms = log_scales + tf.constant(self.log_partitions, shares.dtype)
        # The blend gives log c_k its gradient times s_k: what is missing, in a term that is 0.
        missing = (1 - tf.stop_gradient(shares)) * self._slopes(log_scales, context)
        return tf.reduce_sum(shares * log_norms + missing * (log_scales - tf.stop_gradient(log_scales)), -1, True)

    def _log_scales(self) -> tf.Tensor:
        trained = tf.convert_to_tensor(self.log_scales)
        if self.unit is None:
            return trained
        unit = tf.convert_to_tensor(self.unit)
        return trained + tf.math.log(tf.where(unit == 0, tf.ones_like(unit), unit))

    def _slopes(self, log_scales: tf.Tensor, context: Context) -> tf.Tensor:
        """d mean -log p_k / d log c_k = 1 - mean u psi_k(u), u = r / c_k, `[K]`; 0 where it is not finite."""
        residual, counted = _counted(context)
        # As the losses are weighed, or the scales of losses out of favour would follow other examples.
        weights = tf.cast(counted, residual.dtype) if context.element_weights is None else context.element_weights
        scales = tf.unstack(tf.exp(tf.cast(log_scales, residual.dtype)))
        slopes = []
        for penalty, scale in zip(self.penalties, scales, strict=True):
            unit = residual / scale
            weighed = tf.where(counted, weights * unit * penalty.slope(unit), tf.zeros_like(unit))
            slopes.append(1 - accurate_sum(weighed) / accurate_sum(weights))
        given = tf.stop_gradient(tf.stack(slopes))
        return tf.cast(tf.where(tf.math.is_finite(given), given, tf.zeros_like(given)), log_scales.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def _counted(context: Context) -> tuple[tf.Tensor, tf.Tensor]:
    residual = tf.convert_to_tensor(context.residual)
    return residual, tf.ones_like(residual, tf.bool) if context.counted is None else context.counted


def _mean_size(context: Context) -> tf.Tensor:
    """Mean |r| over all replicas; 0 where nothing counts."""
    residual, counted = _counted(context)
    total = accurate_sum(tf.where(counted, tf.abs(residual), tf.zeros_like(residual)))
    total, number = sum_over_replicas([total, count(counted, residual.dtype)])
    return tf.math.divide_no_nan(total, number)
