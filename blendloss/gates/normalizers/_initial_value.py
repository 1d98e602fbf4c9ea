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
        `gating(logits, context)` gives the total 1 / |l_k(0)|, `[K]`. A first value that nothing can be divided
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

    def __init__(self) -> None:
        super().__init__()
        self.first_values: Any = None  # set once the losses are known

    def create_state(self, k: int) -> None:
        self.first_values = self.add_state("first_values", (k,))

    def gating(self, logits: tf.Tensor, context: Context) -> Gating:
        self._require_blend()
        first = tf.convert_to_tensor(self.first_values)
        if context.training:
            now = sizes(context, self.compute_dtype)
            first = tf.where((first == 0) & divisible(now), now, first)
            self.first_values.assign(first)
        return Gating(logits, 1 / tf.where(first == 0, tf.ones_like(first), first))
