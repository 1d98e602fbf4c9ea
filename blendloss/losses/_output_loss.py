"""A loss of one output, or of several outputs, of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.serialization import Configured, deserialize, register, serialize
from blendloss.losses._adapter import as_loss
from blendloss.losses._keys import as_lists, find_weight, keys, pick, several
from blendloss.losses._several import as_loss_of_several, weights_of_several


@register
class OutputLoss(Configured):
    """A loss of one output, or of several outputs, of a model: l(y_true[target], y_pred[output]).

    A blend of such losses takes the model's outputs as a dict or a list. Several losses may read one output. Each
    output has its own shape, mask and sample weights.

    Args:
        output: which output the loss reads: a key of a dict, an index of a list, or the path "a/b" to a nested one.
            With a tuple, list or dict of these, which may be nested, the loss receives a tuple or dict of outputs, such
            as the mean and the scale of a likelihood.
        loss: any loss that a blend takes: a penalty, a Keras loss or its name, a function `(y_true, y_pred)`.
        target: which target belongs to it, in the same form. None is the same key as the output, or `y_true` itself if
            that is one array and the network has one output. A float is the target itself for all examples, such as 0.0
            for the residual of a differential equation, which has no data.

    Returns:
        A loss for a `Blend`. `loss(y_true, y_pred)`, with dicts or lists of tensors, returns values `[batch, ...]`.

    Raises:
        TypeError: if an argument has the wrong type, or if several outputs are given to a loss of one tensor.
        ValueError: if a tuple, list or dict is empty. When called, if the outputs have different sample weights, or
            masks of different ranks.
        KeyError: when called, if there is no such output or target.

    Example:
        >>> import blendloss as bl
        >>> blend = bl.Blend(
        ...     {
        ...         "depth": bl.losses.OutputLoss("depth", "mae"),
        ...         "physics": bl.losses.OutputLoss("pde", "mse", target=0.0),
        ...     },
        ...     gate=bl.gates.Fixed([1.0, 10.0]),
        ... )
        >>> output = blend.compute({"depth": [[1.0]]}, {"depth": [[3.0]], "pde": [[0.5]]})
        >>> output.losses.numpy().tolist(), round(float(output.value), 4)
        ([2.0, 0.25], 4.5)
    """

    def __init__(self, output: Any, loss: Any, target: Any = None) -> None:
        self.output = keys("output", output)
        if isinstance(loss, OutputLoss):
            raise TypeError(f"`loss` must not be an `OutputLoss` itself. Received: loss={loss!r}")
        if isinstance(target, float):
            self.target: Any = checks.finite("target", target)
        else:
            self.target = None if target is None else keys("target", target)
        self.loss = loss
        self.evaluate = as_loss("loss", loss) if not several(self.output) else as_loss_of_several("loss", loss)

    def select(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """The target and the output that belong to this loss."""
        single = isinstance(y_pred, (Mapping, list, tuple)) and len(y_pred) == 1
        y_pred = pick("y_pred", y_pred, self.output)
        if isinstance(self.target, float):
            floating = tf.convert_to_tensor(tf.nest.flatten(y_pred)[0] if several(self.output) else y_pred)
            return tf.fill(tf.shape(floating), tf.constant(self.target, floating.dtype)), y_pred
        if self.target is None and single and hasattr(y_true, "shape"):
            return y_true, y_pred
        return pick("y_true", y_true, self.output if self.target is None else self.target), y_pred

    def weights(self, sample_weight: Any) -> Any:
        """The sample weights of this loss: those of its output, or those of all outputs."""
        if several(self.output):
            return weights_of_several(sample_weight, self.output)
        return find_weight(sample_weight, self.output)

    @traced_as_written
    def __call__(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Unreduced values, `[batch, ...]`."""
        return self.evaluate(*self.select(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        return {"output": as_lists(self.output), "loss": serialize(self.loss), "target": as_lists(self.target)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OutputLoss:
        return cls(**{**config, "loss": deserialize(config["loss"])})
