"""A loss that reads one of a model's several outputs."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from blendloss import _checks
from blendloss._serialization import Configured, deserialize, register, serialize
from blendloss.losses._adapter import as_loss


@register
class Head(Configured):
    """A loss of one output of several: l(y_true[target], y_pred[output]).

    With heads, a blend takes what the model gives, a dict or a list of outputs. Several losses may read one output, and
    each has its own shape, mask and sample weights.

    Args:
        output: which output the loss reads: a key of a dict, or an index of a list.
        loss: any loss that a blend takes: a penalty, a Keras loss or its name, a function `(y_true, y_pred)`.
        target: which target belongs to it, a key or an index; None is the same as the output. A float is the target
            itself, for all examples: 0.0 for the residual of a differential equation, which no data come with.

    Returns:
        The loss, to be named in a `Blend`; calling it with structures gives per-example values.

    Raises:
        TypeError: if an argument has the wrong type.
        KeyError: when called, if there is no such output or target.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(
        ...     {"depth": bl.losses.Head("depth", "mae"), "physics": bl.losses.Head("pde", "mse", target=0.0)},
        ...     gate=bl.gates.Fixed([1.0, 10.0]),
        ... )
        >>> reading = blend.read({"depth": [[1.0]]}, {"depth": [[3.0]], "pde": [[0.5]]})
        >>> reading.losses.numpy().tolist(), round(float(reading.value), 4)
        ([2.0, 0.25], 4.5)

    References:
        none.

    Deviations:
        none.
    """

    def __init__(self, output: str | int, loss: Any, target: str | int | float | None = None) -> None:
        if isinstance(output, bool) or not isinstance(output, (str, int)):
            raise TypeError(f"`output` must be a key or an index of an output. Received: output={output!r}")
        if isinstance(loss, Head):
            raise TypeError(f"`loss` must not be a head itself. Received: loss={loss!r}")
        if isinstance(target, bool) or not isinstance(target, (str, int, float, type(None))):
            raise TypeError(f"`target` must be a key, an index or a float. Received: target={target!r}")
        if isinstance(target, float):
            _checks.finite("target", target)
        self.output, self.loss, self.target = output, loss, target
        self.evaluate = as_loss("loss", loss)

    def read(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The target and the output that belong to this loss."""
        y_pred = selected("y_pred", y_pred, self.output)
        if isinstance(self.target, float):
            floating = tf.convert_to_tensor(y_pred)
            return tf.fill(tf.shape(floating), tf.constant(self.target, floating.dtype)), y_pred
        return selected("y_true", y_true, self.output if self.target is None else self.target), y_pred

    def weights(self, sample_weight: Any) -> Any:
        """The sample weights that belong to this loss: one's own by output, or those of all."""
        if isinstance(sample_weight, Mapping):
            return sample_weight.get(self.output)
        if isinstance(sample_weight, (list, tuple)) and isinstance(self.output, int):
            return sample_weight[self.output]
        return sample_weight

    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Unreduced values, `[batch, ...]`."""
        return self.evaluate(*self.read(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {"output": self.output, "loss": serialize(self.loss), "target": self.target}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Head:
        return cls(**{**config, "loss": deserialize(config["loss"])})


def selected(name: str, structure: Any, key: str | int) -> Any:
    """`structure[key]`, or an error that says what there is."""
    there = f"{name} of type {type(structure).__name__}"
    if isinstance(structure, Mapping):
        there = str(list(structure))
        if key in structure:
            return structure[key]
    elif isinstance(structure, (list, tuple)) and isinstance(key, numbers.Integral):
        there = str(list(range(len(structure))))
        if -len(structure) <= key < len(structure):
            return structure[key]
    index = name == "y_true" and isinstance(key, numbers.Integral)
    hint = f" (an integer is an index; the number itself is the float {float(key)})" if index else ""
    raise KeyError(f"`{name}` must have {key!r}, which a loss reads{hint}. Received: {there}")
