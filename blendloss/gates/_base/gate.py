"""The base of the gates."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.loss_state import LossState
from blendloss.gates._base.needs import Needs
from blendloss.losses import Penalty


class Gate(LossState, abc.ABC):
    """Where the gating logits come from: a Keras layer, so that its state is tracked, saved and resumed.

    A subclass implements `gating(context)`; `create_state(k)` if it has variables; `cost(shares, gating, context)` if
    it adds something to the blend, L = sum_k g_k l_k + cost. Class attributes say how it works with a blend:

    - `needs`: what it is given, members of `Needs`;
    - `stateful`: whether it updates its state inside the training step;
    - `elementwise`: whether it weighs each residual by itself, so that each loss must be a `Penalty`;
    - `why_small_weights_are_fine`: the end of the sentence by which `Blend.diagnose` explains that a small weight of
      this gate is no sign of collapse; None where the weights minimize the blended loss itself, and so move to the
      smallest values.

    Args:
        name: the layer's name.
        dtype: of the logits and the state; not touched by mixed precision. None, in every gate, is float64 where
            Keras's `floatx` is that, else float32.

    Returns:
        `gating(context)` gives logits `[K]` or `[batch, K]`, or a `Gating`.

    Raises:
        ValueError: if it is attached to blends of different losses.
        TypeError: if it needs penalties, and a loss is none.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class Favourite(bl.gates.Gate):
        ...     def gating(self, context):
        ...         return tf.one_hot(0, len(self.names)) * 3.0
        >>> blend = bl.Blend({"a": "mse", "b": "mae"}, gate=Favourite())
        >>> [round(float(g), 3) for g in blend.compute([[0.0]], [[2.0]]).weights]
        [0.953, 0.047]
    """

    needs: Needs = Needs.NOTHING
    stateful: bool = False
    elementwise: bool = False
    why_small_weights_are_fine: str | None = None

    def __init__(self, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._reduction: str | None = "mean"

    def _require_blend(self) -> None:
        if self._names is None:
            raise ValueError(f"The gate {self.name!r} belongs to no blend yet: give it to `Blend(..., gate=gate)`.")

    def attach(self, names: tuple[str, ...], losses: Sequence[Any] = (), reduction: str | None = "mean") -> None:
        """Creates the state for the losses `names` of a blend that reduces by `reduction`; the blend calls it."""
        self._reduction = reduction
        penalties = self._checked_penalties(names, losses) if Needs.PENALTIES in self.needs or self.elementwise else ()
        if self._names is not None:
            if self._names != names or self._penalties != penalties:
                raise ValueError(
                    f"A gate can be shared only by blends of the same losses. Received: {list(names)} "
                    f"{list(penalties)}, attached to {list(self._names)} {list(self._penalties)}"
                )
            return
        self._create_state_for(names, penalties)

    def _checked_penalties(self, names: tuple[str, ...], losses: Sequence[Any]) -> tuple[Penalty, ...]:
        for name, loss in zip(names, losses or [None] * len(names), strict=True):
            if not isinstance(loss, Penalty):
                raise TypeError(
                    f"The gate {self.name!r} ({type(self).__name__}) weighs functions of the residual: every loss must "
                    f"be a penalty, such as blendloss.losses.Huber(). Received: {name}={loss!r}"
                )
        return tuple(losses)

    @abc.abstractmethod
    def gating(self, context: Context) -> tf.Tensor | Gating:
        """The logits `[K]` or `[batch, K]` at `context`, or a `Gating`."""

    def batch_independent_gating(self, step: Any = None) -> Gating | None:
        """The gating that holds whatever the batch, outside training; None where there is none."""
        of_batch = Needs.RESIDUAL | Needs.VALUES | Needs.FEATURES
        if self.needs & of_batch or (Needs.STEP in self.needs and step is None):
            return None
        gating = self.gating(Context(step, training=False))
        return gating if isinstance(gating, Gating) else Gating(gating)

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> Any:
        """What the gate adds to the blend; None is nothing.

        A scalar is added once. A tensor with axes is a part of the losses' values, weighted and reduced with them:
        `[1]` stands for all examples alike; an elementwise gate may give one of the residual's shape. A tuple of such
        tensors adds up.

        Args:
            shares: mode(logits), the shape of the logits.
            gating: what `gating` gave; g = gating.total * shares.
            context: what `gating` was given.
        """
        return None

    def report(self) -> str | None:
        """What the gate has to say of its own weights, in words, for `Blend.diagnose`; None is nothing."""
        return None

    def observe_progress(self, values: Any) -> None:
        """Tells a gate that `Needs.PROGRESS` the losses of the step's batch after the update; `BlendedModel` does it.

        Args:
            values: `[K]`, or by name as `Blend.values` gives them.
        """
        raise TypeError(f"The gate {self.name!r} ({type(self).__name__}) does not watch the losses after an update.")

    @property
    def has_cost(self) -> bool:
        """Whether the gate adds something to the blend."""
        return type(self).cost is not Gate.cost

    def get_config(self) -> dict[str, Any]:
        dtype = keras.saving.serialize_keras_object(self.dtype_policy)
        return {"name": self.name, "dtype": dtype, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(config["dtype"])
        trainable = config.pop("trainable")
        gate = cls(**config)
        if not trainable:  # True would undo what is frozen inside
            gate.trainable = False
        return gate
