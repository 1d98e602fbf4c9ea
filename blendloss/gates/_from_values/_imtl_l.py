"""The loss half of impartial multi-task learning."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating


@register
class IMTLL(Gate):
    """IMTL-L: a trained scale brings each loss to size 1, whatever its units.

        L = sum_k (e^s_k l_k - s_k),    g_k = e^s_k,    cost = -sum_k s_k

    At fixed losses the minimum over s is at e^s_k l_k = 1, so that no loss's numbers count more than another's. The
    cost is added once: it is the reduced losses that are brought to 1.

    Args:
        initial: s at the start, a number or `[K]`; 0 is the sum of the losses.
        name: the layer's name.
        dtype: of s.

    Returns:
        `gating(context)` gives s, `[K]`, and the total sum_k e^s_k.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `initial` is not finite, or has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.IMTLL(initial=[0.0, 1.0]))
        >>> output = blend.compute_from_values({"a": 1.0, "b": 2.0}, step=0)  # 1 + 2 e - 1
        >>> [round(float(g), 3) for g in output.weights], round(float(output.value), 3)
        ([1.0, 2.718], 5.437)

    References:
        Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, the balance of losses.

    Deviations:
        none. LibMTL 1.1 has it only together with the balance of gradients, in one method.
    """

    why_small_weights_are_fine = "it brings its loss to size 1"

    def __init__(self, initial: Any = 0.0, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.initial = checks.number_or_numbers("initial", initial, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.log_scales: Any = None

    def create_state(self, k: int) -> None:
        start = checks.for_each("initial", self.initial, k)
        self.log_scales = self.add_weight(name="log_scales", shape=(k,), initializer=keras.initializers.Zeros())
        self.log_scales.assign(start)

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        logits = tf.convert_to_tensor(self.log_scales)
        return Gating(logits, tf.reduce_sum(tf.exp(logits)))

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor:
        return -tf.reduce_sum(tf.convert_to_tensor(self.log_scales))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}
