"""Weights that are set by hand."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating, gating_from_weights
from blendloss.gates._fixed import checked_weights

_TENSORS = (tf.Tensor, tf.Variable, keras.Variable)


@register
class Manual(Gate):
    """Weights that a callback or a loop sets between steps, without a new trace.

    g = w under `Soft()`; another mode sees the logits log w and keeps the total sum(w). w is a variable that nothing
    but `assign` changes: no optimizer trains it, and it is saved and resumed with the model. Where the weights are a
    function of the step, use `Scheduled`; where they never change, `Fixed`.

    Args:
        initial: w at the start, `[K]`, non-negative, at least one positive; None is 1 for each loss.
        name: the layer's name.
        dtype: of w and the logits.

    Returns:
        `gating(context)` gives log w and its total.

    Raises:
        TypeError: if `initial` is no list of numbers.
        ValueError: if a weight is negative or not finite, all are 0, or there is not one for each loss.

    Example:
        >>> import keras, blendloss as bl
        >>> gate = bl.gates.Manual([1.0, 0.0])
        >>> blend = bl.Blend({"mse": "mse", "kl": "kl_divergence"}, gate=gate)
        >>> gate.assign({"kl": 0.5})
        >>> blend.compute([[1.0]], [[1.0]]).weights.numpy().tolist()
        [1.0, 0.5]
        >>> warm_up = keras.callbacks.LambdaCallback(
        ...     on_epoch_begin=lambda epoch, logs: gate.assign({"kl": min(1.0, epoch / 10)})
        ... )  # for model.fit(..., callbacks=[warm_up])
        >>> warm_up.on_epoch_begin(2, {})
        >>> round(float(gate.assigned[1]), 3)
        0.2
    """

    def __init__(self, initial: Any = None, *, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.initial = None if initial is None else checked_weights("initial", initial, self.variable_dtype)
        # Set once the losses are known.
        self.assigned: Any = None

    def create_state(self, k: int) -> None:
        initial = [1.0] * k if self.initial is None else self.initial
        if len(initial) != k:
            raise ValueError(f"`initial` must have one weight for each of the {k} losses. Received: {initial}")
        self.assigned = self.add_state("assigned", (k,), initial)

    def assign(self, weights: Any) -> None:
        """Sets the weights from now on; in graphs too.

        Args:
            weights: w, `[K]`, or by name; losses that a dict does not name keep their weights. Numbers or tensors.

        Raises:
            TypeError: if `weights` is neither a dict nor a list, an array or a tensor of real numbers.
            ValueError: if a name is no loss's, there is not one weight for each loss, or a weight is negative or not
                finite, or all are 0. Of tensors in a graph, the running graph raises `InvalidArgumentError`; a compiled
                XLA program cannot, and the weights become NaN.
        """
        given = self._each(weights)
        if all(isinstance(weight, numbers.Real) for weight in given):
            given = checked_weights("weights", given, self.variable_dtype)
        stacked = tf.stack([self._scalar(*pair) for pair in zip(self.names, given, strict=True)])
        known = tf.get_static_value(stacked)
        if known is not None:
            checked_weights("weights", known.tolist(), self.variable_dtype)
        else:
            valid = tf.reduce_all((stacked >= 0) & tf.math.is_finite(stacked)) & tf.reduce_any(stacked > 0)
            stacked = require(valid, "`weights` must be finite, not negative and not all 0.", stacked)
        self.assigned.assign(stacked)

    def _each(self, weights: Any) -> list[Any]:
        """What is given for each loss: K numbers or scalar tensors."""
        names = self.names
        if isinstance(weights, Mapping):
            if not weights or not set(weights) <= set(names):
                raise ValueError(f"`weights` must have names of losses, {list(names)}. Received: {list(weights)}")
            kept = tf.unstack(tf.convert_to_tensor(self.assigned))
            return [weights.get(name, own) for name, own in zip(names, kept, strict=True)]
        if isinstance(weights, _TENSORS):
            tensor = tf.convert_to_tensor(weights)
            if tensor.shape.rank not in (None, 1) or not tensor.shape.is_compatible_with((len(names),)):
                raise ValueError(f"`weights` must have the shape [{len(names)}]. Received: shape {tensor.shape}")
            return tf.unstack(tf.ensure_shape(tensor, [len(names)]))
        if isinstance(weights, (str, bytes)) or not isinstance(weights, (Sequence, np.ndarray)):
            raise TypeError(f"`weights` must be a dict or a list of numbers. Received: weights={weights!r}")
        if len(weights) != len(names):
            raise ValueError(f"`weights` must have one for each of the losses {list(names)}. Received: {weights!r}")
        return list(weights)

    def _scalar(self, name: str, weight: Any) -> tf.Tensor:
        if not isinstance(weight, (*_TENSORS, np.ndarray)):
            return tf.constant(
                checks.non_negative(f"weights[{name!r}]", weight, dtype=self.variable_dtype), self.variable_dtype
            )
        tensor = tf.convert_to_tensor(weight)
        if tensor.shape.rank not in (None, 0) or not (tensor.dtype.is_floating or tensor.dtype.is_integer):
            raise ValueError(f"`weights[{name!r}]` must be a real scalar. Received: {weight!r}")
        return tf.ensure_shape(tf.cast(tensor, self.variable_dtype), [])

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        return gating_from_weights(tf.cast(tf.convert_to_tensor(self.assigned), self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}
