"""The base of the gates that follow how the losses change, and what these share."""

from __future__ import annotations

import abc
from typing import Any

import tensorflow as tf

from blendloss._internal.loss_axis import largest
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import kept, shared_values


def ratio(now: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    """now / before; 1 where both are 0, and the largest number where the quotient overflows."""
    still = (now == 0) & (before == 0)
    return finite(tf.where(still, tf.ones_like(now), now / tf.where(still, tf.ones_like(before), before)))


def finite(numbers: tf.Tensor) -> tf.Tensor:
    """`numbers` with the largest finite ones in place of infinities; NaN stays, which XLA would clip to a number."""
    return tf.where(tf.math.is_inf(numbers), tf.sign(numbers) * numbers.dtype.max, numbers)


def smoothed(old: tf.Tensor, new: tf.Tensor, share: float) -> tf.Tensor:
    """log(share e^old + (1 - share) e^new): a running mean of weights, of their logarithms."""
    if share == 0:
        return new
    shares = tf.constant([[share], [1 - share]], new.dtype)
    return tf.reduce_logsumexp(tf.math.log(shares) + tf.stack([old, new]), axis=0)


class RateGate(Gate, abc.ABC):
    """A gate that keeps losses of past training steps, and logits; outside training those of the last step hold.

    A subclass implements `stepped`, and `create_state` if it keeps more. What it keeps is float32 even where the gate
    is half precision, which has neither the range nor the digits for changes of losses.

    Args:
        name: the layer's name.
        dtype: of the logits.
    """

    needs = Needs.VALUES
    stateful = True

    def __init__(self, *, name: str | None, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        # Set once the losses are known.
        self.logits: Any = None
        self.skipped: Any = None

    def create_state(self, k: int) -> None:
        self.logits = kept(self, "logits", (k,))
        self.skipped = self.add_state("skipped", dtype="int64")

    @abc.abstractmethod
    def stepped(self, values: tf.Tensor, valid: tf.Tensor, context: Context) -> tf.Tensor:
        """Takes the losses of a training step into the state, where `valid`, and gives the step's logits, `[K]`."""

    def total(self, logits: tf.Tensor) -> Any:
        """What the weights of `logits` sum to."""
        return len(self.names)

    def gating(self, context: Context) -> Gating:
        self._require_blend()
        if not context.training:
            return self._of(tf.convert_to_tensor(self.logits))
        values = shared_values(self, context)
        valid = tf.reduce_all(tf.math.is_finite(values))
        logits = self.stepped(values, valid, context)
        self.skipped.assign(tf.convert_to_tensor(self.skipped) + tf.cast(~valid, tf.int64))
        return self._of(logits)

    def _of(self, logits: tf.Tensor) -> Gating:
        # Centred in full precision: half precision would round, or lose, what all logits have in common.
        return Gating(tf.cast(logits - largest(logits), self.compute_dtype), self.total(logits))

    def batch_independent_gating(self, step: Any = None) -> Gating:
        self._require_blend()
        return self._of(tf.convert_to_tensor(self.logits))


def put(variable: Any, new: tf.Tensor, when: tf.Tensor) -> tf.Tensor:
    """Assigns `new` to `variable` where `when`; its value then, in the dtype of `new`."""
    value = tf.where(when, new, tf.cast(tf.convert_to_tensor(variable), new.dtype))
    variable.assign(tf.cast(value, variable.dtype))
    return value
