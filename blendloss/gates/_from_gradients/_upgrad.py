"""Gradients that are projected to where no loss goes up, and added up."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss._solvers.dual_cone import dual_cone
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.values import checked_preference, one_each


@register
class UPGrad(GradientGate):
    """Each gradient is projected to the directions along which no loss goes up; the direction is their sum (UPGrad).

        d = sum_k p_k proj(G_k),    proj(x) the nearest to x of {x: x . G_j >= 0 for all j}
        proj(G_k) = sum_j v_kj G_j,    v_k minimizes |sum_j v_j G_j|^2 over v_j >= [j = k]

    so that g_j = sum_k p_k v_kj >= p_j, and d . G_j >= 0 for every j. Without conflicts, G_k . G_j >= 0, the weights
    are p. Longer gradients count more: d is linear in the length of each. Solved exactly, as K small quadratic
    programs in the products of the gradients.

    Args:
        preference: p, non-negative, one for each loss; None is 1/K.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            TorchJD and LibMTL.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`. Where several give the same d, it is one of few v
        above [j = k].

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `preference` is out of its range, or has not one number for each loss. When a blend with it is
            called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.UPGrad())
        >>> w = tf.Variable([1.0, 1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": w[0] + 2 * w[2], "b": w[1] - w[0]}  # gradients (1, 0, 2) and (-1, 1, 0)
        >>> [round(float(g), 3) for g in blend.gradients(tape, values, [w], step=0).output.weights]
        [0.6, 0.75]

    References:
        Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", 2024, arXiv:2406.16232.

    Deviations:
        TorchJD and LibMTL add 1e-4 to the diagonal of the normalized matrix of products, which moves d by 1e-4 and
        more where gradients differ in length by 100, and give 0 where the squared lengths add up to less than 1e-4.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "it is the preference, and more where gradients conflict"

    def __init__(
        self,
        preference: Any = None,
        *,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.preference = checked_preference("preference", preference)
        # Set once the losses are known.
        self._preference: list[float] = []

    def create_state(self, k: int) -> None:
        self._preference = one_each("preference", self.preference, k, 1 / k)
        super().create_state(k)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        return dual_cone(gradients.gram(), self._preference)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preference": self.preference}
