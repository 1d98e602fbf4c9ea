"""The entropy of the shares."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.regularizers._regularizer import Regularizer, mean_over_examples, positive_part


@register
class Entropy(Regularizer):
    """Rewards spread-out shares: -coefficient * H(shares), H = -sum_k s_k log s_k in nats.

    A positive coefficient favours spread (H = log K at equal shares), a negative one sharpens (H = 0 where one loss has
    everything). Over a batch it is the mean of each example's H: every gating vector is to be spread by itself. A
    schedule that falls to 0 keeps a gate open at first and lets it choose later.

    Args:
        coefficient: a number, or a schedule of the step; its sign is as above.

    Returns:
        Calling it gives a scalar: float64 where the shares are, else float32; 0 for an empty batch. Under
        `tf.distribute`, each replica's own mean; the blend averages them.

    Raises:
        TypeError: if `coefficient` is no number and no schedule.
        ValueError: if `coefficient` is not finite or not a scalar.

    Example:
        >>> import blendloss as bl
        >>> entropy = bl.gates.regularizers.Entropy(1.0)
        >>> round(float(entropy([0.5, 0.5])), 3), float(entropy([1.0, 0.0]))  # -log 2
        (-0.693, 0.0)

    References:
        The bonus is that of Williams and Peng, "Function optimization using connectionist reinforcement learning
        algorithms", Connection Science 3 (1991).

    Deviations:
        At a share of exactly 0, where dH/ds is infinite, the gradient is 0: such a share is switched off.
    """

    def penalty(self, shares: tf.Tensor) -> tf.Tensor:
        positive, logs = positive_part(shares)
        return mean_over_examples(tf.reduce_sum(tf.where(positive, shares, tf.zeros_like(shares)) * logs, axis=-1))
