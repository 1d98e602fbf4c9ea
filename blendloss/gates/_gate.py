"""The base of the gates, what they are given and what they give."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf


class Context(NamedTuple):
    """What a gate may look at. Gradients do not flow through it.

    Args:
        step: the training step, int64 scalar, or None.
        training: whether this is a training step; a gate that keeps running state updates it only then.
        residual: y_pred - y_true, flattened, `[N]`, where the gate has `needs_residual`; else None.
        counted: which elements count (unmasked, sample weight not 0), `[N]` bool; None is all.
        values: the reduced losses, `[K]`, where the gate has `needs_values`; else None.

    Returns:
        The record itself.

    Raises:
        Nothing.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Context(step=3, training=True).residual is None
        True

    References:
        none.

    Deviations:
        none.
    """

    step: tf.Tensor | None
    training: bool
    residual: tf.Tensor | None = None
    counted: tf.Tensor | None = None
    values: tf.Tensor | None = None


class Gating(NamedTuple):
    """What a gate gives: logits for the mode, and the total that the weights shall sum to.

    The gating vector is g = total * mode(logits). Logits log w with total sum(w) make soft gating give w itself.

    Args:
        logits: `[K]` or `[batch, K]`; -inf excludes a loss.
        total: scalar, or `[batch, 1]`.

    Returns:
        The record itself.

    Raises:
        Nothing.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Gating(logits=[0.0, 0.0]).total
        1.0

    References:
        none.

    Deviations:
        none.
    """

    logits: tf.Tensor
    total: Any = 1.0


class Gate(keras.Layer, abc.ABC):
    """Where the gating logits come from: a Keras layer, so that its state is tracked, saved and resumed.

    A subclass implements `gating(context)`, and `create_state(k)` if it has variables. The class attributes say what
    it needs: `needs_step`, `needs_residual` (of losses of a residual), `needs_values` (all K losses, each step), and
    whether it `updates` its state inside the training step.

    Args:
        name: the layer's name.
        dtype: of the logits and the state; not touched by mixed precision.

    Returns:
        `gating(context)` gives logits `[K]` or `[batch, K]`, or a `Gating`.

    Raises:
        ValueError: if it is attached to blends with different numbers of losses.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> class Favourite(bl.gates.Gate):
        ...     def gating(self, context):
        ...         return tf.one_hot(0, len(self.names)) * 3.0
        >>> blend = bl.Blend({"a": "mse", "b": "mae"}, gate=Favourite())
        >>> [round(float(g), 3) for g in blend.read([[0.0]], [[2.0]]).weights]
        [0.953, 0.047]

    References:
        none.

    Deviations:
        none.
    """

    needs_step: ClassVar[bool] = False
    needs_residual: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False
    observed: bool = True
    updates: ClassVar[bool] = False

    def __init__(self, *, name: str | None = None, dtype: Any = "float32") -> None:
        super().__init__(name=name, dtype=dtype, autocast=False)
        self._names: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the losses that the gate weighs, in their order."""
        if self._names is None:
            raise ValueError(f"The gate {self.name!r} belongs to no blend yet: give it to `Blend(..., gate=gate)`.")
        return self._names

    def attach(self, names: tuple[str, ...]) -> None:
        """Creates the state for the losses `names`; called once by the blend that the gate is given to."""
        if self._names is not None:
            if self._names != names:
                raise ValueError(
                    "A gate can be shared only by blends of the same losses. "
                    f"Received: {list(names)}, attached to {list(self._names)}"
                )
            return
        self._names = names
        try:
            self.create_state(len(names))
        except Exception:
            self._names = None  # it does not fit this blend; it may fit another
            raise
        self.built = True

    def create_state(self, k: int) -> None:
        """Checks the arguments against the number of losses `k`, and creates the variables."""

    @abc.abstractmethod
    def gating(self, context: Context) -> tf.Tensor | Gating:
        """The logits `[K]` or `[batch, K]` at `context`, or a `Gating`."""

    def state(self, name: str, shape: tuple[int, ...] = (), value: float = 0, dtype: str | None = None) -> Any:
        """A variable that no optimizer trains, equal on all replicas, tracked and saved."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            dtype=dtype or self.variable_dtype,
            trainable=False,
            aggregation="only_first_replica",
        )

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
        gate.trainable = trainable
        return gate


def of_weights(weights: tf.Tensor) -> Gating:
    """The `Gating` whose soft weights are `weights` `[..., K]` (non-negative, not all 0)."""
    total = tf.reduce_sum(weights, axis=-1, keepdims=weights.shape.rank > 1)
    return Gating(tf.math.log(weights), total)


def of_stage(stage: tf.Tensor, k: int, dtype: Any) -> tf.Tensor:
    """Logits that choose the loss with index `stage`: 0 there and -inf elsewhere."""
    chosen = tf.range(k) == tf.cast(stage, tf.int32)
    return tf.where(chosen, tf.constant(0.0, dtype), tf.constant(float("-inf"), dtype))
