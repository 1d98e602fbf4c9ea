"""The base of the gates that are a function F of the losses."""

from __future__ import annotations

import abc

import tensorflow as tf

from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating, gating_from_signed_weights
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import shared_values


class Scalarization(Gate, abc.ABC):
    """A function F of the losses: weights dF/dl at the values, and the cost that makes the blend's value F.

    A subclass implements `scalarized`. The weights are constants of the step, so that the gradient of the blend under
    `Soft()` is that of F.
    """

    needs = Needs.VALUES

    @abc.abstractmethod
    def scalarized(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """F, a scalar, and dF/dl, `[K]`, at the losses `values`, `[K]`, float32 or float64."""

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        _, weights = self.scalarized(shared_values(self, context))
        gating = gating_from_signed_weights(weights)
        return gating._replace(logits=tf.cast(gating.logits, self.compute_dtype))

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        values = shared_values(self, context)
        return self.scalarized(values)[0] - blended(shares, gating, values)


def blended(shares: tf.Tensor, gating: Gating, values: tf.Tensor) -> tf.Tensor:
    """sum_k g_k l_k, of the weights as the blend rounds them."""
    return tf.reduce_sum(tf.cast(shares * tf.cast(gating.total, shares.dtype), values.dtype) * values)
