"""The direction whose cosines with all gradients are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss._solvers.eigen import ROUNDING, pseudo_inverse_applied
from blendloss._solvers.gram import STATIONARY, applied, cosines, norms, size, solved
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.values import checked_preference, one_each

# What x / |x|^2 is multiplied by, of (the gradients' lengths, which of them are not 0, each x . u_k, |x|^2).
Factor = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
# One length for all gradients, of (their lengths, which of them are not 0).
Length = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def projection(lengths: tf.Tensor, moves: tf.Tensor, along: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
    """The sum of the gradients' projections on x."""
    return tf.reduce_sum(lengths * along) / square


def of_length(length: Length) -> Factor:
    """The same, as if each gradient had that length; 0 where all are 0."""

    def factor(lengths: tf.Tensor, moves: tf.Tensor, along: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
        found = length(lengths, moves)
        found = tf.where(tf.reduce_any(moves), found, tf.zeros_like(found))
        return tf.reduce_sum(tf.cast(moves, tf.float64) * along) / square * found

    return factor


def least(lengths: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """The least of those that are not 0."""
    return tf.reduce_min(tf.where(moves, lengths, tf.reduce_max(lengths)))


def largest(lengths: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """The largest."""
    return tf.reduce_max(lengths)


def mean(lengths: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """The arithmetic mean of those that are not 0."""
    return tf.reduce_sum(lengths) / _number(moves)


def harmonic_mean(lengths: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """The harmonic mean of those that are not 0."""
    return _number(moves) / tf.reduce_sum(tf.cast(moves, tf.float64) / _or_one(lengths, moves))


def geometric_mean(lengths: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """The geometric mean of those that are not 0."""
    return tf.exp(tf.reduce_sum(tf.math.log(_or_one(lengths, moves))) / _number(moves))


def _number(moves: tf.Tensor) -> tf.Tensor:
    return tf.maximum(tf.reduce_sum(tf.cast(moves, tf.float64)), 1.0)


def _or_one(lengths: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    return tf.where(moves, lengths, tf.ones_like(lengths))


LENGTHS: dict[str, Factor] = {
    "projection": projection,
    "min": of_length(least),
    "max": of_length(largest),
    "mean": of_length(mean),
    "harmonic": of_length(harmonic_mean),
    "geometric": of_length(geometric_mean),
}


def conflict_free(gram: tf.Tensor, preference: Any, factor: Factor) -> tf.Tensor:
    """The weights of `ConFIG`, `[K]`, float64."""

    def solve(gram: tf.Tensor) -> tf.Tensor:
        lengths = norms(gram)
        moves = lengths > 0
        counted = tf.cast(moves, tf.float64)
        between = cosines(gram)
        parts = pseudo_inverse_applied(between, counted * tf.constant(preference, tf.float64), size(gram) * ROUNDING)
        parts = counted * parts
        along = applied(between, parts)  # x . u_k
        square = tf.maximum(tf.reduce_sum(parts * along), 0.0)
        nothing = tf.sqrt(square) <= STATIONARY * tf.reduce_sum(tf.abs(parts))
        square = tf.where(nothing, tf.ones_like(square), square)
        weights = tf.math.divide_no_nan(factor(lengths, moves, along, square) * parts, lengths)
        return tf.where(nothing, tf.zeros_like(weights), weights)

    return solved(gram, solve)


@register
class ConFIG(GradientGate):
    """The direction whose cosines with all gradients are equal, as long as they project on it (ConFIG).

        u_k = G_k / |G_k|,    x = U^+ p,    d = (sum_k G_k . x) x / |x|^2

    With linearly independent gradients x . u_k = p_k > 0: d goes down in every loss, by the same rate for p = 1, and is
    the longer, the more the gradients agree. Dependent ones have the pseudo-inverse's least squares, without that
    guarantee; a vanishing x has the weights 0, as has a loss with no gradient. From the gradients' K x K products.

    Args:
        length: "projection", as above; or d = (sum_k u_k . x) L x / |x|^2 with L the "min", "max", "mean", "harmonic"
            mean or "geometric" mean of the gradients' lengths (the code's length models).
        preference: p, non-negative, one for each loss; None is 1.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`. The paper takes
            the whole gradient: `variables=["*"]`.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`; with three losses or more some may be negative.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or `preference` has not one number for each loss. When a blend
            with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.ConFIG())
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 2 * w[0], "b": w[1]}  # (2, 0) and (0, 1), both of the projection 1/sqrt(2) times it
        >>> found = blend.gradients(tape, values, [w], step=0)
        >>> found.output.weights.numpy().round(3).tolist(), found.gradients[0].numpy().round(3).tolist()
        ([0.75, 1.5], [1.5, 1.5])

    References:
        Liu, Chu and Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks", ICLR 2025,
        arXiv:2408.11104, and its code (tum-pbs/ConFIG).

    Deviations:
        A singular value of U below sqrt(K) 2^-23 of the largest counts as 0; the code's least squares, and TorchJD's
        pseudo-inverse, have thresholds that depend on the number of variables and the precision. The code's length
        models give NaN where a gradient is 0: here it does not count. The version with momentum (M-ConFIG), which
        computes one loss's gradient a step, is not here.
    """

    usual_task_specific = "weighted"
    why_small_weights_are_fine = "its loss's gradient is long, or like the others'"

    def __init__(
        self,
        length: str = "projection",
        preference: Any = None,
        *,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.length = checks.one_of("length", length, list(LENGTHS))
        self._factor = LENGTHS[self.length]
        self.preference = checked_preference("preference", preference)
        # Set once the losses are known.
        self._preference: list[float] = []

    def create_state(self, k: int) -> None:
        self._preference = one_each("preference", self.preference, k, 1.0)
        super().create_state(k)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        return conflict_free(gradients.gram(), self._preference, self._factor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "length": self.length, "preference": self.preference}
