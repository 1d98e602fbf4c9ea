"""Division by the first value."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates.normalizers._normalizer import Normalizer, divisible, sizes


@register
class InitialValue(Normalizer):
    """Divides each loss by its size at the first training step: L = sum_k s_k l_k / |l_k(0)|.

    The gate then compares how far each loss has fallen, not how large its numbers are. It still moves its weight to one
    loss: the one that has fallen most, and r^2 falls faster than |r|.

    Returns:
        `gating(gate, logits, context)` gives the total 1 / |l_k(0)|, `[K]`. A first value that nothing can be divided
        by (0, infinite, NaN) is passed over: that loss is divided by 1 until a step has one that can. Kept in the
        variable `first_values`, 0 where there is none yet; equal on all replicas.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Learned(normalize=bl.gates.normalizers.InitialValue())
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> [float(blend([[0.0]], [[prediction]], step=0)) for prediction in (4.0, 2.0)]  # (4/16 + 2/4) / 2
        [1.0, 0.375]

    References:
        The ratio is GradNorm's loss ratio: Chen et al., ICML 2018, section 3.
    """

    needs = Needs.VALUES
    stateful = True

    def create_state(self, gate: Any, k: int) -> None:
        gate.first_values = gate.add_state("first_values", (k,))

    def gating(self, gate: Any, logits: tf.Tensor, context: Context) -> Gating:
        first = tf.convert_to_tensor(gate.first_values)
        if context.training:
            now = sizes(gate, context)
            first = tf.where((first == 0) & divisible(now), now, first)
            gate.first_values.assign(first)
        return Gating(logits, 1 / tf.where(first == 0, tf.ones_like(first), first))

    def get_config(self) -> dict[str, Any]:
        return {}
