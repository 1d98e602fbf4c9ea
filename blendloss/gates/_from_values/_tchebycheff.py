"""The largest of the weighted losses."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating, one_hot_logits
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import checked_entries, checked_preference, one_each, shared_values


@register
class Tchebycheff(Gate):
    """The largest of the weighted losses: one loss at a time is trained, the one that is furthest behind.

        F(l) = max_k w_k (l_k - z_k),    g_k = w_k where the maximum is (the first, where there are several), else 0

    The choice is a constant of the step; the cost -w_k z_k of the chosen loss makes the blend's value F.

    Args:
        preference: w, `[K]`, non-negative, not all 0; None is 1/K for each.
        ideal: z, `[K]`, a lower bound of the losses; None is 0.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives 0 for the chosen loss and -inf for the others, and the total w, `[K]`. Where a loss is
        NaN, the logits are.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.Tchebycheff([1.0, 3.0], ideal=[0.0, 1.0]))
        >>> output = blend.compute_from_values({"a": 2.0, "b": 2.0})  # max(2, 3 * (2 - 1))
        >>> output.weights.numpy().tolist(), float(output.value)
        ([0.0, 3.0], 3.0)

    References:
        Bowman, "On the Relationship of the Tchebycheff Norm and the Efficient Frontier of Multiple-Criteria
        Objectives" (1976); Lin et al., "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML 2024,
        arXiv:2402.19078.

    Deviations:
        Autodiff of a maximum (PyTorch, TensorFlow) halves the weight between two equal losses.
    """

    needs = Needs.VALUES

    def __init__(
        self, preference: Any = None, ideal: Any = None, *, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.preference = checked_preference("preference", preference)
        self.ideal = checked_entries("ideal", ideal, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.factors: list[float] = []
        self.origin: list[float] = []

    def create_state(self, k: int) -> None:
        self.factors = one_each("preference", self.preference, k, 1 / k)
        self.origin = one_each("ideal", self.ideal, k, 0.0)

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        values = shared_values(self, context)
        factors, origin = (tf.constant(given, values.dtype) for given in (self.factors, self.origin))
        behind = factors * (values - origin)
        logits = one_hot_logits(tf.argmax(behind), len(self.factors), self.compute_dtype)
        broken = tf.reduce_any(tf.math.is_nan(behind))  # which a comparison would hide
        return Gating(tf.where(broken, tf.constant(float("nan"), logits.dtype), logits), factors)

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        origin = tf.constant(self.origin, gating.total.dtype)
        return -tf.reduce_sum(tf.cast(shares, origin.dtype) * gating.total * origin)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preference": self.preference, "ideal": self.ideal}
