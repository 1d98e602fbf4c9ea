"""The base of the normalizers, and what those share that divide by a loss's size."""

from __future__ import annotations

import abc
from typing import Any

import keras
import tensorflow as tf

from blendloss._internal.replicas import mean_over_replicas
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.loss_state import LossState
from blendloss.gates._base.needs import Needs


class Normalizer(LossState, abc.ABC):
    """What brings the losses of a gate to one scale, or makes likelihoods of them.

    It is a Keras layer that its gate holds, as `gate.normalize`: its variables are the gate's, are tracked, saved and
    resumed, and have the gate's dtype. A normalizer belongs to one gate: it cannot be given to another. A
    subclass implements `gating`, `create_state(k)` if it has variables, and `cost` if it `has_cost`; its arguments come
    on top of the base's `get_config`. `needs`, `stateful` and `why_small_weights_are_fine` become the gate's.

    Returns:
        `gating(logits, context)` gives the gate's `Gating`.

    Raises:
        ValueError: if it is given to two gates.

    Example:
        >>> import blendloss as bl
        >>> class Halves(bl.gates.normalizers.Normalizer):
        ...     def gating(self, logits, context):
        ...         return bl.gates.Gating(logits, total=0.5)
        >>> blend = bl.Blend({"mse": "mse", "mae": "mae"}, gate=bl.gates.Learned(normalize=Halves()))
        >>> blend.compute([[0.0]], [[2.0]], step=0).weights.numpy().tolist()
        [0.25, 0.25]
    """

    needs: Needs = Needs.NOTHING
    stateful: bool = False
    has_cost: bool = False
    #: What a small weight says, where it is no sign of collapse; see `Gate`.
    why_small_weights_are_fine: str | None = None

    def __init__(self) -> None:
        super().__init__(name=None, dtype=None)
        self._gate_name: str | None = None

    def attach(self, gate: LossState) -> None:
        """Creates the state for the losses of `gate`, in its dtype; called once by the gate that holds it."""
        if self._names is not None:
            raise ValueError(
                "A normalizer keeps the state of one gate: give each gate a normalizer of its own. Received: "
                f"{type(self).__name__} of the gate {self._gate_name!r} in the gate {gate.name!r}"
            )
        self.dtype_policy = gate.dtype_policy
        with keras.name_scope(gate.name):
            self._create_state_for(gate.names, gate.penalties)
        self._gate_name = gate.name

    def _require_blend(self) -> None:
        if self._names is None:
            raise ValueError(
                f"The normalizer {self.name!r} belongs to no blend yet: give it to a gate, "
                "`Learned(normalize=normalizer)`, and that to `Blend(..., gate=gate)`."
            )

    @abc.abstractmethod
    def gating(self, logits: tf.Tensor, context: Context) -> Gating:
        """The gating of `logits`, `[K]`."""

    def cost(self, shares: tf.Tensor, context: Context) -> tf.Tensor:
        """What it adds to the blend for each example, `[1]`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The object whose `get_config` gave `config`."""
        arguments = {name: value for name, value in config.items() if name != "trainable"}
        normalizer = cls(**arguments)
        if not config.get("trainable", True):
            normalizer.trainable = False
        return normalizer


def sizes(context: Context, dtype: Any) -> tf.Tensor:
    """|l_k|, `[K]`, in `dtype`: the mean over the replicas, so that their states agree."""
    return tf.abs(mean_over_replicas(tf.cast(context.values, dtype)))


def divisible(numbers: tf.Tensor) -> tf.Tensor:
    """Where dividing by the non-negative `numbers` is no overflow: not 0, subnormal, infinite or NaN."""
    return tf.math.is_finite(numbers) & tf.math.is_finite(1 / numbers)
