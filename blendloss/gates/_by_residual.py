"""A gate that chooses for each residual by its size."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gate import Gate
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.needs import Needs


@register
class ByResidual(Gate):
    """Each residual chooses its loss by its own size |r|: a piecewise penalty, joined at thresholds.

    With thresholds t_1 < ... < t_{K-1}: z_k = sum_{j <= k} (|r| - t_j) / width, less the largest. Neighbouring losses
    have equal logits at their threshold; `width` is the change of |r| that moves the odds between them by e. Without a
    width every mode gives loss k alone where t_k < |r| <= t_{k+1}: ties go to the first.

    Where `continuous`, each piece is shifted to meet the one before it: the cost is sum_k g_k c_k(sign r) of each
    residual, c_k = sum_{j <= k} rho_{j-1}(t_j) - rho_j(t_j) (at -t_j where r < 0). Then r^2 / 2 =
    `SquaredError(scale=2**0.5)` and delta |r| = `AbsoluteError(scale=1/delta)` with threshold delta *are*
    `Huber(delta)`, value and gradient.

    The gate is a constant to the gradient, as the weights are in iteratively reweighted least squares: dL/dr =
    sum_k g_k psi_k(r), without the change of g in r. Without a width, or under `Hard()`, nothing is missing; with one,
    it is not the derivative of the value.

    Args:
        thresholds: `[K - 1]`, positive, strictly increasing, in units of the residual.
        width: > 0, in units of the residual; None is a sharp switch.
        continuous: whether the pieces are joined; if not, the value jumps at a threshold.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives z of the predictions' shape and K. Infinite residuals choose the last loss; NaN stays
        NaN. In a `BlendOutput`, losses are means over all residuals, whichever they chose; the shifts are the `cost`.

    Raises:
        TypeError: if an argument has the wrong type, or a loss is no penalty.
        ValueError: if an argument is out of its range, or there are not K - 1 thresholds.

    Example:
        >>> import blendloss as bl
        >>> pieces = {"near": bl.losses.SquaredError(scale=2**0.5), "far": bl.losses.AbsoluteError()}
        >>> blend = bl.Blend(pieces, bl.gates.ByResidual([1.0]))
        >>> residuals = [[0.5], [1.0], [3.0]]
        >>> [round(float(blend([[0.0]], [r])), 3) for r in residuals]
        [0.125, 0.5, 2.5]
        >>> [round(float(bl.losses.Huber(1.0)([[0.0]], [r])[0]), 3) for r in residuals]
        [0.125, 0.5, 2.5]

    References:
        The logits are those of Masters, "A Rasch model for partial credit scoring", Psychometrika 47 (1982). Holland
        and Welsch, "Robust regression using iteratively reweighted least-squares", Communications in Statistics
        A 6 (1977).
    """

    needs = Needs.RESIDUAL
    elementwise = True

    def __init__(
        self,
        thresholds: Any,
        *,
        width: float | None = None,
        continuous: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.thresholds = checks.ordered("thresholds", thresholds, dtype=self.compute_dtype)
        for i, threshold in enumerate(self.thresholds):
            checks.positive(f"thresholds[{i}]", threshold, dtype=self.compute_dtype)
        self.width = None if width is None else checks.positive("width", width, dtype=self.compute_dtype)
        self.continuous = checks.boolean("continuous", continuous)

    def create_state(self, k: int) -> None:
        if len(self.thresholds) != k - 1:
            raise ValueError(f"`thresholds` must have {k - 1} numbers for {k} losses. Received: {self.thresholds}")

    def gating(self, context: Context) -> tf.Tensor:
        residual = tf.convert_to_tensor(context.residual)
        # In the residual's digits: a threshold must not move because the logits have fewer.
        logits = partial_credit(tf.abs(residual), tf.constant(self.thresholds, residual.dtype), self.width)
        return tf.cast(logits, self.compute_dtype)

    @property
    def has_cost(self) -> bool:
        return self.continuous

    def cost(self, shares: tf.Tensor, gating: Gating, context: Context) -> tf.Tensor | None:
        if not self.continuous:
            return None
        residual = tf.convert_to_tensor(context.residual)
        ends = tf.stack([tf.constant(self.thresholds, tf.float64)] * 2) * tf.constant([[1.0], [-1.0]], tf.float64)
        values = tf.stack([penalty.value(ends) for penalty in self.penalties], axis=-1)  # [2, K - 1, K]
        before, after = tf.linalg.diag_part(values[..., :-1]), tf.linalg.diag_part(values[..., 1:])
        shifts = tf.pad(tf.cumsum(before - after, axis=-1), [[0, 0], [1, 0]])
        of_sign = tf.gather(tf.cast(shifts, residual.dtype), tf.cast(residual < 0, tf.int32))
        return tf.reduce_sum(tf.cast(shares, residual.dtype) * of_sign, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.thresholds,
            "width": self.width,
            "continuous": self.continuous,
        }


def partial_credit(size: tf.Tensor, thresholds: tf.Tensor, width: float | None) -> tf.Tensor:
    """z_k = sum_{j <= k} (size - t_j) / width, less the largest; its limit for a width of None.

    Args:
        size: any shape, floating.
        thresholds: `[K - 1]`, increasing, same dtype.
        width: > 0, or None.

    Returns:
        `[..., K]`, the largest exactly 0 and equal to its neighbour at a threshold; NaN where `size` is.
    """
    passed = size[..., tf.newaxis] - thresholds
    if width is None:
        infinity = tf.constant(float("inf"), size.dtype)
        passed = tf.where(passed > 0, infinity, tf.where(passed <= 0, -infinity, passed))
    else:
        passed = passed / width
    # Summed outwards from the chosen loss, whose logit is exactly 0: no infinity meets another.
    edge = [[0, 0]] * size.shape.rank
    below = tf.pad(tf.cumsum(tf.maximum(-passed, 0), axis=-1), [*edge, [1, 0]])
    above = tf.pad(tf.cumsum(tf.maximum(passed, 0), axis=-1, reverse=True), [*edge, [0, 1]])
    return -(below + above)
