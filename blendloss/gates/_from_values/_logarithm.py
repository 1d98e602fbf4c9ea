"""The sum of the losses' logarithms."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.serialization import register
from blendloss.gates._base.values import checked_preference, one_each
from blendloss.gates._from_values._scalarization import Scalarization


@register
class Logarithm(Scalarization):
    """The weighted sum of the losses' logarithms, which no rescaling of a loss changes the gradient of.

        F(l) = sum_k w_k log(l_k + eps),    g_k = w_k / (l_k + eps)

    The weights are constants of the step; the cost F - g . l makes the blend's value F in every mode, and under
    `Soft()` its gradient is F's.

    Args:
        weights: w, `[K]`, non-negative, not all 0; None is 1 for each.
        epsilon: eps >= 0, added to the losses.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives log g, `[K]`, and the total sum_k g_k. Losses that are not above -eps are caught in the
        graph; XLA, which cannot raise, turns the weights into NaN.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or `weights` has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.Logarithm())
        >>> output = blend.compute_from_values({"a": 0.5, "b": 4.0})
        >>> [round(float(g), 3) for g in output.weights], round(float(output.value), 3)  # log(0.5 * 4)
        ([2.0, 0.25], 0.693)

    References:
        Lin et al., "Dual-Balancing for Multi-Task Learning", arXiv:2308.12029: the logarithms of the losses, one half
        of their method (the other balances gradients).

    Deviations:
        `epsilon` is that of the authors' code (LibMTL 1.1). With weights and epsilon 0 it is the scale-invariant sum of
        the code published with Nash-MTL.
    """

    def __init__(
        self, weights: Any = None, *, epsilon: float = 1e-8, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.given = checked_preference("weights", weights)
        self.epsilon = checks.non_negative("epsilon", epsilon, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.factors: list[float] = []

    def create_state(self, k: int) -> None:
        self.factors = one_each("weights", self.given, k, 1.0)

    def scalarized(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shifted = above(values, self.epsilon)
        factors = tf.constant(self.factors, values.dtype)
        return tf.reduce_sum(factors * tf.math.log(shifted)), factors / shifted

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.given, "epsilon": self.epsilon}


def above(values: tf.Tensor, epsilon: float) -> tf.Tensor:
    """`values + epsilon`, which must be positive, or NaN."""
    shifted = values + tf.constant(epsilon, values.dtype)
    return require(~tf.reduce_any(shifted <= 0), f"Losses to take the logarithm of must be above -{epsilon}.", shifted)
