"""The bargaining solution of the losses."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss._solvers.fair import fair
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._from_gradients._fair_grad import bounded, checked_max_norm


@register
class NashMTL(GradientGate):
    """The direction on which the losses would agree in a bargain: the product of their gains is largest (Nash-MTL).

        g > 0 with g_k sum_j G_k . G_j g_j = 1 for every k;    g minimizes g'GG'g / 2 - sum_k log g_k

    so that d = sum_k g_k G_k goes down in every loss, and does not depend on the losses' units: g_k d . G_k = 1, and
    |d| = sqrt(K), which `max_norm` then bounds. The function is strictly convex; Newton's method finds its minimum,
    from the K x K products of the gradients. Where these are Pareto-stationary, none exists: the weights are 0; so is
    that of a loss with no gradient.

    Args:
        max_norm: a bound of the length of d, by which all weights are divided by one number; None is none.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "weighted" in
            the authors' code.
        every: from how many steps to how many the weights are computed anew; the code's update_weights_every.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.NashMTL(max_norm=None))
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 4 * w[0], "b": w[1]}  # orthogonal: 1 / |G_k|
        >>> blend.gradients(tape, values, [w], step=0).output.weights.numpy().round(4).tolist()
        [0.25, 1.0]

    References:
        Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, arXiv:2202.01017, and its code.

    Deviations:
        The code, which LibMTL and TorchJD share, solves a sequence of convex problems from the last step's weights,
        stops early, and keeps the last weights in silence where its solver fails: it may be far from the solution.
        It bounds the gradient of the shared variables, not the weights, which variables of one loss alone follow.
    """

    usual_task_specific = "weighted"
    why_small_weights_are_fine = "its loss's gradient is long, or the others' go down in it, too"

    def __init__(
        self,
        *,
        max_norm: float | None = 1.0,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.max_norm = checked_max_norm(max_norm)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        gram = gradients.gram()
        return bounded(fair(gram, 1.0), gram, self.max_norm)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_norm": self.max_norm}
