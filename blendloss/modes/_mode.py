"""The base of the modes."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from blendloss._internal import checks, conversion
from blendloss._internal.autograph import traced_as_written
from blendloss._internal.serialization import Configured
from blendloss._internal.step import integer_step


class Mode(Configured, abc.ABC):
    """Turns logits into the gating vector. A mode is pure: it has arguments and no state.

    A subclass implements `weights`. `needs_step` says whether the result depends on the step. `one_hot` says whether
    the result is one-hot, and `lazy` whether a blend may then evaluate only the chosen loss.

    Returns:
        `mode(logits, step)` returns the gating vector, on the simplex, in the shape and dtype of the logits.

    Raises:
        ValueError: if the mode needs the step and none is given, or if the logits have no axis.

    Example:
        >>> import blendloss as bl
        >>> class Uniform(bl.modes.Mode):
        ...     def weights(self, logits, step, training):
        ...         return logits * 0 + 1 / logits.shape[-1]
        ...     def get_config(self):
        ...         return {}
        >>> Uniform()([0.0, 5.0]).numpy().tolist()
        [0.5, 0.5]
    """

    #: Whether a blend may evaluate only the chosen loss.
    lazy: bool = False
    #: Whether the gating vector is one-hot.
    one_hot: bool = False

    @property
    def needs_step(self) -> bool:
        """Whether the gating vector depends on the step."""
        return False

    @abc.abstractmethod
    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        """The gating vector of `logits`, `[..., K]`, float32 or float64; differentiable, same shape and dtype."""

    @traced_as_written
    def __call__(self, logits: Any, step: Any = None, training: bool = True) -> tf.Tensor:
        """The gating vector.

        Args:
            logits: `[K]` or `[batch, K]`, floating; -inf excludes a loss.
            step: the training step, an integer or an integer scalar tensor. Required if `needs_step`.
            training: whether sampling modes sample. With False they use their deterministic counterpart.

        Returns:
            Weights on the simplex, in the shape and dtype of `logits`.
        """
        logits = conversion.floating("logits", logits, axes="[K] or [batch, K]")
        training = checks.boolean("training", training)
        if self.needs_step and step is None:
            raise ValueError(f"{type(self).__name__} depends on the step: pass `step=`. Received: step=None")
        step = None if step is None else integer_step(step)
        if logits.dtype.size < 4:  # in half precision, noise has ties and small temperatures become 0
            return tf.cast(self.weights(tf.cast(logits, tf.float32), step, training), logits.dtype)
        return self.weights(logits, step, training)
