"""Fast adaptive multitask optimization."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.assertions import require
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.values import checked_entries, kept, one_each
from blendloss.gates._from_values._progress_gate import ProgressGate

#: Adam's.
BETAS = (0.9, 0.999)


class Moments(NamedTuple):
    """What Adam keeps: the running means of the gradients and of their squares."""

    mean: tf.Tensor
    square: tf.Tensor


def adam(
    weights: tf.Tensor, gradient: tf.Tensor, moments: Moments, count: tf.Tensor, rate: float, decay: float
) -> tuple[tf.Tensor, Moments]:
    """Adam's step number `count` (from 1) on `weights`, with weight decay added to the gradient."""
    gradient = gradient + decay * weights
    mean, square = (
        beta * old + (1 - beta) * new for beta, old, new in zip(BETAS, moments, (gradient, gradient**2), strict=True)
    )
    # 1 - .999^t loses half of float32's digits at the start.
    filled = [tf.cast(1 - tf.constant(beta, tf.float64) ** tf.cast(count, tf.float64), weights.dtype) for beta in BETAS]
    unbiased_mean, unbiased_square = mean / filled[0], square / filled[1]
    weights = weights - rate * unbiased_mean / (tf.sqrt(unbiased_square) + 1e-8)
    return weights, Moments(mean, square)


def along_softmax(logits: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """The gradient of softmax(logits) . delta in the logits."""
    shares = tf.nn.softmax(logits)
    return shares * (delta - tf.reduce_sum(shares * delta))


@register
class FAMO(ProgressGate):
    """Fast adaptive multitask optimization: weights under which all losses fall at one rate, learned as they fall.

        g_k = (z_k / D_k) / sum_j (z_j / D_j),    z = softmax(xi),    D = l - l_min + eps

    After each update, Adam takes a step on xi along the gradient of z . delta, delta = log D(before) - log D(after):
    a loss that fell more than the others loses weight. No gradient of a single loss is needed.

    `BlendedModel` gives the losses after the update by itself (one more forward pass a step). In a loop of your own:
    `gate.observe_progress(blend.values(y, network(x)))` after the optimizer's step.

    Args:
        lower_bounds: l_min, `[K]`, what the losses stay above; None is 0.
        learning_rate: Adam's, > 0.
        weight_decay: gamma >= 0, times xi, in the gradient that Adam sees. The official code also has 0 (its toy),
            1e-5 and 0.01.
        epsilon: eps >= 0.
        same_batch: True measures the fall on the batch of the update, as the paper does; a training step without an
            observation since the last one raises. False takes the losses of the next training step's batch instead:
            nothing to call, no extra pass, and the difference between the batches as noise.
        name: the layer's name.
        dtype: of the logits; the state is float32 where it is half precision.

    Returns:
        `gating(context)` gives xi - log D, `[K]`; the weights sum to 1. Losses that are not finite leave xi as it is
        and are counted in the variable `skipped`; where they are those of this step, the logits are NaN. Losses not
        above l_min - eps, and missing observations, are caught in the graph; XLA, which cannot raise, turns the
        weights into NaN.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or `lower_bounds` has not one number for each loss.

    Example:
        >>> import blendloss as bl
        >>> gate = bl.gates.FAMO()
        >>> blend = bl.Blend(["a", "b"], gate=gate)
        >>> [round(float(g), 3) for g in blend.compute_from_values({"a": 1.0, "b": 3.0}, step=0).weights]  # as 1 to 1/3
        [0.75, 0.25]
        >>> gate.observe_progress({"a": 0.5, "b": 3.0})
        >>> [round(float(x), 3) for x in gate.xi.numpy()]
        [-0.025, 0.025]

    References:
        Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023, arXiv:2306.03792, algorithm 1, and its
        code; gamma as in LibMTL 1.1 and TorchJD 0.18.

    Deviations:
        The code, LibMTL and TorchJD report c sum_k z_k log D_k, c = 1 / sum_k (z_k / D_k), with the same gradient;
        here the blend's value is the weighted loss itself. The code also clips the network's gradient to norm 1, which
        is the optimizer's business (`clipnorm`).
    """

    def __init__(
        self,
        lower_bounds: Any = None,
        *,
        learning_rate: float = 0.025,
        weight_decay: float = 1e-3,
        epsilon: float = 1e-8,
        same_batch: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(same_batch, name=name, dtype=dtype)
        self.lower_bounds = checked_entries("lower_bounds", lower_bounds, dtype=self.compute_dtype)
        self.learning_rate = checks.positive("learning_rate", learning_rate, dtype=self.compute_dtype)
        self.weight_decay = checks.non_negative("weight_decay", weight_decay, dtype=self.compute_dtype)
        self.epsilon = checks.non_negative("epsilon", epsilon, dtype=self.compute_dtype)
        # Set once the losses are known.
        self.bounds: list[float] = []
        self.xi: Any = None
        self.mean: Any = None
        self.square: Any = None
        self.count: Any = None
        self.before: Any = None

    def create_state(self, k: int) -> None:
        self.bounds = one_each("lower_bounds", self.lower_bounds, k, 0.0)
        super().create_state(k)
        self.xi, self.mean, self.square = (kept(self, name, (k,)) for name in ("xi", "mean", "square"))
        self.count = self.add_state("count", dtype="int64")
        self.before = kept(self, "before", (k,))

    def _log_excess(self, values: tf.Tensor) -> tf.Tensor:
        """log D."""
        excess = values - tf.constant(self.bounds, values.dtype) + tf.constant(self.epsilon, values.dtype)
        rule = f"The losses must be above the `lower_bounds` {self.bounds} of the gate {self.name!r}."
        return tf.math.log(require(~tf.reduce_any(excess <= 0), rule, excess))

    def chosen(self, values: tf.Tensor, context: Context) -> Gating:
        logs = self._log_excess(values)
        if context.training:
            self.before.assign(tf.cast(logs, self.before.dtype))
        broken = ~tf.reduce_all(tf.math.is_finite(logs))  # an infinite loss would have the weight 0, and be hidden
        logits = tf.cast(tf.convert_to_tensor(self.xi), logs.dtype) - logs
        logits = tf.where(broken, tf.constant(float("nan"), logs.dtype), logits)
        return Gating(tf.cast(logits, self.compute_dtype))

    def learn(self, values: tf.Tensor, waiting: tf.Tensor) -> tf.Tensor:
        after = self._log_excess(values)
        xi, before, mean, square = (
            tf.cast(tf.convert_to_tensor(variable), after.dtype)
            for variable in (self.xi, self.before, self.mean, self.square)
        )
        valid = tf.reduce_all(tf.math.is_finite(before)) & tf.reduce_all(tf.math.is_finite(after))
        delta = tf.where(valid, before - after, tf.zeros_like(after))
        count = tf.convert_to_tensor(self.count) + tf.cast(waiting & valid, tf.int64)
        stepped, moments = adam(
            xi,
            along_softmax(xi, delta),
            Moments(mean, square),
            tf.maximum(count, 1),
            self.learning_rate,
            self.weight_decay,
        )
        for variable, new, old in zip(
            (self.xi, self.mean, self.square), (stepped, *moments), (xi, mean, square), strict=True
        ):
            variable.assign(tf.cast(tf.where(waiting & valid, new, old), variable.dtype))
        self.count.assign(count)
        return valid

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "lower_bounds": self.lower_bounds,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "epsilon": self.epsilon,
        }
