"""The entropy of the shares."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss.gates.regularizers._regularizer import Regularizer, mean_over_examples, positive_part


@register
class Entropy(Regularizer):
    """Rewards spread-out shares: -coefficient * H(shares), H = -sum_k s_k log s_k in nats.

    A positive coefficient favours equal shares (H = log K), a negative one a single loss (H = 0). For a batch, H is the
    mean over the examples, so each example's shares are spread out. A schedule that falls to 0 prevents an early
    collapse and lets the gate choose later.

    Args:
        coefficient: a number, or a schedule of the step; see above for its sign.

    Returns:
        `regularizer(shares, step)` returns a scalar: float64 for float64 shares, else float32; 0 for an empty batch.
        Under `tf.distribute`, it is each replica's mean; the blend averages them.

    Raises:
        TypeError: if `coefficient` is neither a number nor a schedule.
        ValueError: if `coefficient` is not finite or not a scalar.

    Example:
        >>> import blendloss as bl
        >>> entropy = bl.gates.regularizers.Entropy(1.0)
        >>> round(float(entropy([0.5, 0.5])), 3), float(entropy([1.0, 0.0]))  # -log 2
        (-0.693, 0.0)

    References:
        Williams and Peng, "Function optimization using connectionist reinforcement learning
        algorithms", Connection Science 3 (1991).

    Deviations:
        At a share of exactly 0, dH/ds is infinite. There the gradient is 0, because the loss is switched off.
    """

    def penalty(self, shares: tf.Tensor) -> tf.Tensor:
        positive, logs = positive_part(shares)
        return mean_over_examples(tf.reduce_sum(tf.where(positive, shares, tf.zeros_like(shares)) * logs, axis=-1))
