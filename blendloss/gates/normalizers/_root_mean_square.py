"""Division by the root of a running mean square."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss import _checks
from blendloss._serialization import register
from blendloss.gates._gate import Context, Gating
from blendloss.gates.normalizers._normalizer import Normalizer, divisible, sizes


@register
class RootMeanSquare(Normalizer):
    """Divides each loss by the root of a running mean of its square: L = sum_k s_k l_k / q_k.

    The t-th size updates q_k^2 <- q_k^2 + a / (1 - (1 - a)^t) (l_k^2 - q_k^2), a = 1 / memory: as of `RunningMean`, but
    that rare large values count for more, so that a loss with spikes is held smaller.

    Args:
        memory: how many steps the mean remembers, at least 1; at 1 it is the present size.

    Returns:
        `gating(gate, logits, context)` gives the total 1 / q_k, `[K]`; 1 where q_k is 0 or there is none. A value that
        is not finite leaves its mean as it is and is counted in the variable `skipped`, `[K]`. The roots are in
        `roots`, how much of its memory each has seen in `seen`; equal on all replicas.

    Raises:
        TypeError: if `memory` is no number.
        ValueError: if `memory` is below 1.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Learned(normalize=bl.gates.normalizers.RootMeanSquare(memory=2))
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> for prediction in (7.0, 1.0):
        ...     _ = blend([[0.0]], [[prediction]], step=0)
        >>> [round(float(root), 3) for root in gate.roots.numpy()]  # of (7^4/4 + 1/2) / (3/4) and (7^2/4 + 1/2) / (3/4)
        [28.302, 4.123]

    References:
        The running square is RMSProp's, Tieleman and Hinton, 2012, with Adam's correction of the start.

    Deviations:
        none.
    """

    needs_values = True
    updates = True

    def __init__(self, memory: float = 100.0) -> None:
        self.memory = _checks.finite("memory", memory)
        if self.memory < 1:
            raise ValueError(f"`memory` must be at least 1. Received: memory={memory!r}")

    def create_state(self, gate: Any, k: int) -> None:
        gate.roots = gate.state("roots", (k,))
        gate.seen = gate.state("seen", (k,))
        gate.skipped = gate.state("skipped", (k,), dtype="int64")

    def gating(self, gate: Any, logits: tf.Tensor, context: Context) -> Gating:
        roots = tf.convert_to_tensor(gate.roots)
        if context.training:
            roots = self._update(gate, roots, sizes(gate, context))
        return Gating(logits, 1 / tf.where(divisible(roots), roots, tf.ones_like(roots)))

    def _update(self, gate: Any, roots: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
        valid = tf.math.is_finite(now)
        rate = tf.constant(1 / self.memory, now.dtype)
        before = tf.convert_to_tensor(gate.seen)
        seen = before + rate * (1 - before)
        share = rate / seen
        # In units of the larger one: squares of large losses overflow, of small ones vanish.
        unit = tf.maximum(roots, now)
        unit = tf.where(valid & (unit > 0), unit, tf.ones_like(unit))
        new = unit * tf.sqrt((1 - share) * (roots / unit) ** 2 + share * (now / unit) ** 2)
        roots = tf.where(valid, new, roots)
        gate.roots.assign(roots)
        gate.seen.assign(tf.where(valid, seen, before))
        gate.skipped.assign(tf.convert_to_tensor(gate.skipped) + tf.cast(~valid, tf.int64))
        return roots

    def get_config(self) -> dict[str, Any]:
        return {"memory": self.memory}
