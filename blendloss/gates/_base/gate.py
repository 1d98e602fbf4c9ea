"""The base of the gates, what they are given and what they give."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from blendloss._internal.dtypes import initial, state_dtype
from blendloss._internal.seeds import SavesSeeds
from blendloss.gates._base.loss_gradients import LossGradients
from blendloss.losses import Penalty


class Context(NamedTuple):
    """What a gate may look at. Gradients do not flow through it, but for the residual of a gate that asks for them.

    Args:
        step: the training step, int64 scalar, or None.
        training: whether this is a training step; a gate that keeps running state updates it only then.
        residual: y_pred - y_true where the gate has `needs_residual`: flattened, `[N]`, or of the predictions' shape
            for an `elementwise` gate; else None.
        counted: which elements count (unmasked, sample weight not 0), `[N]` bool; None is all.
        weighed: how much each element counts (mask times sample weight), `[N]`; None is all alike.
        values: the reduced losses, `[K]`, where the gate has `needs_values`; else None.
        features: what the caller gave as `features`, where the gate has `needs_features`; else None.
        one_hot: whether the mode chooses one loss.
        gradients: the K losses' gradients, where the gate has `needs_gradients` and this is a training step; else None.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Context(step=3, training=True).residual is None
        True
    """

    step: tf.Tensor | None
    training: bool
    residual: tf.Tensor | None = None
    counted: tf.Tensor | None = None
    weighed: tf.Tensor | None = None
    values: tf.Tensor | None = None
    features: Any = None
    gradients: LossGradients | None = None
    one_hot: bool = False


class Gating(NamedTuple):
    """What a gate gives: logits for the mode, the total of the weights, and the scale of the residuals.

    The gating vector is g = total * shares, shares = mode(logits), and blends the penalties of r / scale. Logits log w
    with total sum(w) make soft gating give w itself.

    Args:
        logits: `[K]` or `[batch, K]`, or the predictions' shape and K from an `elementwise` gate; -inf excludes a loss.
        total: what the weights sum to: scalar, or `[batch, 1]`; or `[K]`, a factor for each share.
        scale: what residuals are divided by, scalar or `[K]`, from a gate that `needs_penalties`; None is 1.

    Returns:
        The record itself.

    Example:
        >>> import blendloss as bl
        >>> bl.gates.Gating(logits=[0.0, 0.0]).total
        1.0
    """

    logits: tf.Tensor
    total: Any = 1.0
    scale: Any = None


class Gate(SavesSeeds, abc.ABC):
    """Where the gating logits come from: a Keras layer, so that its state is tracked, saved and resumed.

    A subclass implements `gating(context)`, `create_state(k)` if it has variables, and `cost(shares, gating, context)`
    if it adds something to the blend: L = sum_k g_k l_k + cost. The class attributes say what it needs: `needs_step`,
    `needs_residual` (of losses of a residual), `needs_values` (all K losses, each step), `needs_features`,
    `needs_penalties` (that each loss is a `Penalty`, found in `penalties`), `needs_gradients` (each loss's own, see
    `GradientGate`; with `needs_residuals` those of each loss's residuals, too), `needs_progress` (the losses after the
    update, given to `observe_progress`); whether it `updates` its state inside the training step, weighs each residual
    by itself (`elementwise`), and whether gradients flow through the residuals that it looks at (`through_residual`).
    `meaning` says why a small weight is no sign of collapse, where it is none.

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
        >>> [round(float(g), 3) for g in blend.read([[0.0]], [[2.0]]).weights]
        [0.953, 0.047]
    """

    needs_step: bool = False
    needs_residual: bool = False
    needs_values: bool = False
    needs_features: bool = False
    needs_penalties: bool = False
    needs_gradients: bool = False
    needs_residuals: bool = False
    needs_progress: bool = False
    observed: bool = True
    updates: bool = False
    elementwise: bool = False
    through_residual: bool = False
    #: Why a small weight of a trained gate is no sign of collapse, to end that sentence in `Blend.diagnose`; None where
    #: the weights minimise the blended loss itself, and so move to the smallest numbers.
    meaning: str | None = None

    def __init__(self, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=state_dtype(dtype), autocast=False)
        self._names: tuple[str, ...] | None = None
        self._penalties: tuple[Penalty, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the losses that the gate weighs, in their order."""
        self._require_blend()
        return self._names or ()

    def _require_blend(self) -> None:
        if self._names is None:
            raise ValueError(f"The gate {self.name!r} belongs to no blend yet: give it to `Blend(..., gate=gate)`.")

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """The losses that the gate weighs, in their order, where it has `needs_penalties`; else empty."""
        return self._penalties

    def attach(self, names: tuple[str, ...], losses: Sequence[Any] = ()) -> None:
        """Creates the state for the losses `names`; called once by the blend that the gate is given to."""
        penalties = self._checked_penalties(names, losses) if self.needs_penalties or self.elementwise else ()
        if self._names is not None:
            if self._names != names or self._penalties != penalties:
                raise ValueError(
                    f"A gate can be shared only by blends of the same losses. Received: {list(names)} "
                    f"{list(penalties)}, attached to {list(self._names)} {list(self._penalties)}"
                )
            return
        self._names, self._penalties = names, penalties
        try:
            self.create_state(len(names))
        except Exception:
            self._names, self._penalties = None, ()  # it does not fit this blend; it may fit another
            raise
        self.built = True

    def _checked_penalties(self, names: tuple[str, ...], losses: Sequence[Any]) -> tuple[Penalty, ...]:
        for name, loss in zip(names, losses or [None] * len(names), strict=True):
            if not isinstance(loss, Penalty):
                raise TypeError(
                    f"The gate {self.name!r} ({type(self).__name__}) weighs functions of the residual: every loss must "
                    f"be a penalty, such as blendloss.losses.Huber(). Received: {name}={loss!r}"
                )
        return tuple(losses)

    def create_state(self, k: int) -> None:
        """Checks the arguments against the number of losses `k`, and creates the variables."""

    @abc.abstractmethod
    def gating(self, context: Context) -> tf.Tensor | Gating:
        """The logits `[K]` or `[batch, K]` at `context`, or a `Gating`."""

    def resting(self, step: Any = None) -> Gating | None:
        """The gating that holds whatever the batch, outside training; None where there is none."""
        if self.needs_residual or self.needs_values or self.needs_features or (self.needs_step and step is None):
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
        """Tells a gate that `needs_progress` the losses of the step's batch after the update; `BlendedModel` does it.

        Args:
            values: `[K]`, or by name as `Blend.values` gives them.
        """
        raise TypeError(f"The gate {self.name!r} ({type(self).__name__}) does not watch the losses after an update.")

    @property
    def has_cost(self) -> bool:
        """Whether the gate adds something to the blend."""
        return type(self).cost is not Gate.cost

    def state(
        self, name: str, shape: tuple[int, ...] = (), value: float | Sequence[float] = 0, dtype: str | None = None
    ) -> Any:
        """A variable that no optimizer trains, equal on all replicas, tracked and saved."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initial(value),
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
        if not trainable:  # True would undo what is frozen inside
            gate.trainable = False
        return gate


def of_weights(weights: tf.Tensor) -> Gating:
    """The `Gating` whose soft weights are `weights` `[..., K]` (non-negative, not all 0)."""
    total = tf.reduce_sum(weights, axis=-1, keepdims=weights.shape.rank > 1)
    return Gating(tf.math.log(weights), total)


def of_signed_weights(weights: tf.Tensor) -> Gating:
    """The `Gating` whose soft weights are `weights` `[K]`, of any sign, or all 0."""
    size = tf.reduce_sum(tf.abs(weights))
    nothing = size == 0  # whose logarithms are no logits
    logits = tf.where(nothing, tf.zeros_like(weights), tf.math.log(tf.abs(weights)))
    return Gating(logits, tf.sign(weights) * size)


def of_stage(stage: tf.Tensor, k: int, dtype: Any) -> tf.Tensor:
    """Logits that choose the loss with index `stage`: 0 there and -inf elsewhere."""
    chosen = tf.range(k) == tf.cast(stage, tf.int32)
    return tf.where(chosen, tf.constant(0.0, dtype), tf.constant(float("-inf"), dtype))
