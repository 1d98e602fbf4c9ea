"""The base of the normalisers, and what those share that divide by a loss's size."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from blendloss._internal.replicas import mean_over_replicas
from blendloss._internal.serialization import Configured
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs


class Normalizer(Configured, abc.ABC):
    """What brings the losses of a learned gate to one scale, or makes likelihoods of them.

    A subclass implements `gating`, `create_state` if it keeps something, and `cost` if it `has_cost`. It has arguments
    alone; what it keeps are variables of the gate, so that they are tracked, saved and resumed. `needs`,
    `stateful` and `why_small_weights_are_fine` become the gate's.

    Returns:
        `gating(gate, logits, context)` gives the gate's `Gating`.

    Example:
        >>> import blendloss as bl
        >>> class Halves(bl.gates.normalizers.Normalizer):
        ...     def gating(self, gate, logits, context):
        ...         return bl.gates.Gating(logits, total=0.5)
        ...     def get_config(self):
        ...         return {}
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Learned(normalize=Halves()))
        >>> blend.compute([[0.0]], [[2.0]], step=0).weights.numpy().tolist()
        [0.25, 0.25]
    """

    needs: Needs = Needs.NOTHING
    stateful: bool = False
    has_cost: bool = False
    #: What a small weight says, where it is no sign of collapse; see `Gate`.
    why_small_weights_are_fine: str | None = None

    def create_state(self, gate: Any, k: int) -> None:
        """Checks the arguments against the number of losses `k`, and creates variables of the gate."""

    @abc.abstractmethod
    def gating(self, gate: Any, logits: tf.Tensor, context: Context) -> Gating:
        """The gating of `logits`, `[K]`."""

    def cost(self, gate: Any, shares: tf.Tensor, context: Context) -> tf.Tensor:
        """What it adds to the blend for each example, `[1]`."""
        raise NotImplementedError


def sizes(gate: Any, context: Context) -> tf.Tensor:
    """|l_k|, `[K]`, in the gate's dtype: the mean over the replicas, so that their states agree."""
    return tf.abs(mean_over_replicas(tf.cast(context.values, gate.compute_dtype)))


def divisible(numbers: tf.Tensor) -> tf.Tensor:
    """Where dividing by the non-negative `numbers` is no overflow: not 0, subnormal, infinite or NaN."""
    return tf.math.is_finite(numbers) & tf.math.is_finite(1 / numbers)
