"""Division by a running mean."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates.normalizers._normalizer import Normalizer, divisible, sizes


@register
class RunningMean(Normalizer):
    """Divides each loss by a running mean of its size: L = sum_k s_k l_k / m_k.

    The t-th size updates m_k <- m_k + a / (1 - (1 - a)^t) (|l_k| - m_k), a = 1 / memory: the running mean without the
    bias of its start, the weighted mean of all sizes seen so far, this step's included. All losses count about 1, so
    that the gate moves only by how each differs from its own past: slowly towards the loss that is falling fastest. It
    keeps gradients of comparable size; it does not choose.

    Args:
        memory: how many steps the mean remembers, at least 1; at 1 it is the present size, and the gate stands still.

    Returns:
        `gating(logits, context)` gives the total 1 / m_k, `[K]`; 1 where m_k is 0 or there is none. A value that
        is not finite leaves its mean as it is and is counted in the variable `skipped`, `[K]`. The means are in
        `means`, how much of its memory each has seen in `seen`; equal on all replicas.

    Raises:
        TypeError: if `memory` is no number.
        ValueError: if `memory` is below 1.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Learned(normalize=bl.gates.normalizers.RunningMean(memory=2))
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> for prediction in (5.0, 2.0):
        ...     _ = blend([[0.0]], [[prediction]], step=0)
        >>> gate.normalize.means.numpy().tolist()  # (25/4 + 4/2) / (3/4), (5/4 + 2/2) / (3/4)
        [11.0, 3.0]
    """

    needs = Needs.VALUES
    stateful = True

    def __init__(self, memory: float = 100.0) -> None:
        super().__init__()
        self.memory = checks.finite("memory", memory, minimum=1)
        # Set once the losses are known.
        self.means: Any = None
        self.seen: Any = None
        self.skipped: Any = None

    def create_state(self, k: int) -> None:
        self.means = self.add_state("means", (k,))
        self.seen = self.add_state("seen", (k,))
        self.skipped = self.add_state("skipped", (k,), dtype="int64")

    def gating(self, logits: tf.Tensor, context: Context) -> Gating:
        self._require_blend()
        means = tf.convert_to_tensor(self.means)
        if context.training:
            means = self._update(means, sizes(context, self.compute_dtype))
        return Gating(logits, 1 / tf.where(divisible(means), means, tf.ones_like(means)))

    def _update(self, means: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
        """Takes the sizes of a training step into the state; the means with them."""
        valid = tf.math.is_finite(now)
        rate = tf.constant(1 / self.memory, now.dtype)
        before = tf.convert_to_tensor(self.seen)
        seen = before + rate * (1 - before)
        means = tf.where(valid, self.averaged(means, now, rate / seen), means)
        self.means.assign(means)
        self.seen.assign(tf.where(valid, seen, before))
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(~valid, tf.int64))
        return means

    def averaged(self, old: tf.Tensor, new: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        """The mean of sizes, of which `new` has the `share`."""
        return old + share * (new - old)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "memory": self.memory}
