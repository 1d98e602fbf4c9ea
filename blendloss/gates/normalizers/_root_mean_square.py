"""Division by the root of a running mean square."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.normalizers._running_mean import RunningMean


@register
class RootMeanSquare(RunningMean):
    """Divides each loss by the root of a running mean of its square: L = sum_k s_k l_k / q_k.

    The t-th size updates q_k^2 <- q_k^2 + a / (1 - (1 - a)^t) (l_k^2 - q_k^2), a = 1 / memory: as in `RunningMean`, but
    that rare large values count for more, so that a loss with spikes is held smaller.

    Args:
        memory: how many steps the mean remembers, at least 1; at 1 it is the present size.

    Returns:
        `gating(logits, context)` gives the total 1 / q_k, `[K]`; 1 where q_k is 0 or there is none. A value that
        is not finite leaves its mean as it is and is counted in the variable `skipped`, `[K]`. The roots are in
        `means`, how much of its memory each has seen in `seen`; equal on all replicas.

    Raises:
        TypeError: if `memory` is no number.
        ValueError: if `memory` is below 1.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.Learned(normalize=bl.gates.normalizers.RootMeanSquare(memory=2))
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=gate)
        >>> for prediction in (7.0, 1.0):
        ...     _ = blend([[0.0]], [[prediction]], step=0)
        >>> roots = gate.normalize.means.numpy()  # of (7^4/4 + 1/2) / (3/4) and (7^2/4 + 1/2) / (3/4)
        >>> [round(float(root), 3) for root in roots]
        [28.302, 4.123]

    References:
        The running square is RMSProp's, Tieleman and Hinton, 2012, with Adam's correction of the start.
    """

    def averaged(self, old: tf.Tensor, new: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
        # In units of the larger one: squares of large losses overflow, of small ones vanish.
        unit = tf.maximum(old, new)
        unit = tf.where(unit > 0, unit, tf.ones_like(unit))
        return unit * tf.sqrt((1 - share) * (old / unit) ** 2 + share * (new / unit) ** 2)
