"""Weights under which the losses' gains are alpha-fair."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss._solvers.fair import fair
from blendloss._solvers.gram import length
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients


def bounded(weights: tf.Tensor, gram: tf.Tensor, max_norm: float | None) -> tf.Tensor:
    """`weights`, all divided by one number where |sum_k g_k G_k| would be above `max_norm`."""
    if max_norm is None:
        return weights
    long = length(gram, weights)
    return weights * tf.where(long > max_norm, max_norm / long, tf.ones_like(long))


def checked_max_norm(max_norm: Any) -> float | None:
    """`max_norm`, None or positive."""
    return None if max_norm is None else checks.positive("max_norm", max_norm)


@register
class FairGrad(GradientGate):
    """The direction whose gains d . G_k are alpha-fair among the losses (FairGrad).

        g > 0 with sum_j G_k . G_j g_j = g_k^(-1/alpha) for every k

    so that d = sum_k g_k G_k goes down in every loss: d . G_k = g_k^(-1/alpha) > 0. It maximizes the sum of
    (d . G_k)^(1-alpha) / (1-alpha) over directions of its length: alpha = 1 is `NashMTL`, and the loss that gains least
    counts the more, the larger alpha. It is the stationary point of a strictly convex function, found by Newton's
    method, from the K x K products of the gradients. Where these are Pareto-stationary, none exists: the weights are 0;
    so is that of a loss with no gradient.

    Args:
        alpha: positive, at most 100: beyond, a weight may be too small for float64. 1 is the code's default; 2 in
            runs of the paper.
        max_norm: a bound of the length of d, by which all weights are divided by one number; None is none, 1 in the
            authors' code.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            the authors' code, "weighted" in LibMTL.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.FairGrad(2.0))
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 8 * w[0], "b": w[1]}  # orthogonal: |G_k|^(-2 alpha / (alpha + 1))
        >>> blend.gradients(tape, values, [w], step=0).output.weights.numpy().round(4).tolist()
        [0.0625, 1.0]

    References:
        Ban and Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, arXiv:2402.15638, and its code.

    Deviations:
        The code, LibMTL and TorchJD solve the equations as nonlinear least squares by SciPy, to about 1e-6, and give
        some weights where there is no solution. The authors' code multiplies d by K before it bounds its length.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "its loss's gradient is long, or the others' go down in it, too"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        max_norm: float | None = None,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.alpha = checks.positive("alpha", alpha, maximum=100, dtype=self.compute_dtype)
        self.max_norm = checked_max_norm(max_norm)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        gram = gradients.gram()
        return bounded(fair(gram, self.alpha), gram, self.max_norm)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "max_norm": self.max_norm}
