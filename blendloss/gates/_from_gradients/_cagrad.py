"""Near the mean gradient, the direction that is best for the loss that gains least."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss._solvers.conflict_averse import conflict_averse
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients

RESCALES = (0, 1, 2)


@register
class CAGrad(GradientGate):
    """The direction near the mean gradient that is best for the loss that gains least (CAGrad).

        d maximizes min_k d . G_k over |d - G_0| <= c |G_0|,    G_0 = sum_k G_k / K
        d = G_0 + c |G_0| G_w / |G_w|,    w on the simplex minimizes G_w . G_0 + c |G_0| |G_w|,    G_w = sum_k w_k G_k

    so that g_k = 1/K + c |G_0| w_k / |G_w|. With c < 1 a point where d = 0 is one where the mean gradient is 0. c = 0
    is the mean; as c grows, d turns to the direction of `MGDA`. Solved exactly, from the K x K products of the
    gradients. Where they are Pareto-stationary and c >= 1, d and the weights are 0.

    Args:
        c: the radius, at least 0, as a share of the mean gradient's length. 0.4 in the code for NYUv2, 0.5 in the toy
            problem and LibMTL.
        rescale: 0, d as above; 1, d / (1 + c^2); 2, d / (1 + c). The code's argument of that name; 1 in its calls, 2 in
            the toy problem's formula.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            the authors' code.
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
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.CAGrad(0.2))
        >>> w = tf.Variable([1.0, 1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": w[0] + 2 * w[2], "b": w[1] - w[0]}  # gradients (1, 0, 2) and (-1, 1, 0)
        >>> [round(float(g), 3) for g in blend.gradients(tape, values, [w], step=0).output.weights]
        [0.5, 0.658]

    References:
        Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021, arXiv:2110.14048, and its
        code.

    Deviations:
        The code minimizes by SLSQP to its default tolerance, about 1e-3 in w, adds 1e-8 under the roots and to |G_w|
        (the toy problem 1e-4), and nash-mtl multiplies the direction by K. TorchJD takes weights of 0 where |G_w| is
        below 1e-4 of the root of the sum of the squared lengths; here the threshold is 1e-6 of sum_k w_k |G_k|.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "its loss gains more than others from the mean gradient"

    def __init__(
        self,
        c: float = 0.4,
        *,
        rescale: int = 0,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.c = checks.non_negative("c", c, dtype=self.compute_dtype)
        self.rescale = checks.one_of("rescale", rescale, RESCALES)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        divisor = (1.0, 1 + self.c**2, 1 + self.c)[self.rescale]
        return conflict_averse(gradients.gram(), self.c) / divisor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "c": self.c, "rescale": self.rescale}
