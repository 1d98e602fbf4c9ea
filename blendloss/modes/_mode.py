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
    """How logits become the gating vector. A mode is pure: it has arguments and no state.

    A subclass implements `weights`. `needs_step` says whether its result depends on the step; `lazy` whether the
    result is one-hot, so that a blend may evaluate the chosen loss alone.

    Returns:
        Calling a mode gives the gating vector, on the simplex, of the shape and dtype of the logits.

    Raises:
        ValueError: if the mode needs the step and none is given, or the logits have no axis.

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

    lazy: bool = False
    #: Whether the gating vector is one-hot.
    one_hot: bool = False

    @property
    def needs_step(self) -> bool:
        """Whether the gating vector depends on the step."""
        return False

    @abc.abstractmethod
    def weights(self, logits: tf.Tensor, step: tf.Tensor | None, training: bool) -> tf.Tensor:
        """The gating vector of `logits` `[..., K]`, float32 or float64: same shape and dtype, differentiable."""

    @traced_as_written
    def __call__(self, logits: Any, step: Any = None, training: bool = True) -> tf.Tensor:
        """The gating vector.

        Args:
            logits: `[K]` or `[batch, K]`, floating; -inf excludes a loss.
            step: the training step, an integer or a scalar tensor; needed where `needs_step`.
            training: whether sampling modes sample; False gives their deterministic counterpart.

        Returns:
            Weights on the simplex, the shape and dtype of `logits`.
        """
        logits = conversion.floating("logits", logits, axes="[K] or [batch, K]")
        training = checks.boolean("training", training)
        if self.needs_step and step is None:
            raise ValueError(f"{type(self).__name__} depends on the step: pass `step=`. Received: step=None")
        step = None if step is None else integer_step(step)
        if logits.dtype.size < 4:  # half-precision noise has ties, and half-precision temperatures vanish
            return tf.cast(self.weights(tf.cast(logits, tf.float32), step, training), logits.dtype)
        return self.weights(logits, step, training)
