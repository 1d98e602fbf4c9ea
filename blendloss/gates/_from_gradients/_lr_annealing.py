"""Weights from the sizes of the losses' gradients, smoothed over training."""

from __future__ import annotations

import numbers
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._from_gradients._annealing_targets import TARGETS
from blendloss.gates._from_gradients._weights_of_sizes import smoothed


@register
class LRAnnealing(GradientGate):
    """Learning-rate annealing: weights raise each loss's gradient to the size of a reference loss's, smoothed.

        g_k <- m g_k + (1 - m) a_k,    g_reference = 1
        a_k = max |G_reference| / mean |G_k|    over the elements of the gradients ("paper")

    Made for physics-informed networks, whose residual is the reference and dwarfs the gradients of the boundaries.
    A weight that makes its loss small also makes |G_k| small, so that a rule without g_k in the denominator can raise
    it without bound: to 7e6 on the paper's own Helmholtz problem, where nothing is learned then, and where "code"
    settles at 60 to 90.

    Args:
        form: what a_k is. "paper", as above. "code", the authors': max |G_reference| / (g_k mean |G_k|), the mean over
            variables of each one's mean, so that under constant gradients g_k moves to the square root of the ratio.
            "mean", mean |G_reference| / mean |G_k| (PhysicsNeMo-Sym, ReLoBRaLo's repository). "norm_sum",
            sum_j |G_j| / |G_k| in Euclidean norms, for every loss (Wang et al. 2023). "norm_mean", n / (|G_k| + 1e-5 n)
            with n the mean of these norms (its code, jaxpi).
        reference: the loss whose weight stays 1, by name or place; None is the first. There is none for "norm_sum" and
            "norm_mean".
        momentum: m, from 0 to below 1, the part of the old weight. The code's is 0.9, jaxpi's 0.9, PhysicsNeMo-Sym's
            0.99, ReLoBRaLo's repository's 0.999. The paper gives 0.9 to the new weight, if its formula is taken
            literally: m = 0.1.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`. The code
            measures in weight matrices, without biases: `["*kernel"]`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`.
        every: from how many steps to how many the weights are computed anew; 10 in the code, 1000 in Wang et al. 2023,
            1 in PhysicsNeMo-Sym.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, 1 at first, as in `GradientGate`. A loss whose gradient is 0 keeps its
        weight.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or `reference` is no loss of the blend. When a blend with it is
            called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> gate = bl.gates.LRAnnealing(reference="equation", momentum=0.5)
        >>> blend = bl.Blend(["equation", "boundary"], gate=gate)
        >>> w = tf.Variable([1.0, 2.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"equation": 6 * w[0], "boundary": w[1] ** 2}  # gradients (6, 0) and (0, 4)
        >>> blend.gradients(tape, values, [w], step=0).output.weights.numpy().round(3).tolist()
        [1.0, 2.0]

    References:
        Wang, Teng and Perdikaris, "Understanding and Mitigating Gradient Flow Pathologies in Physics-Informed Neural
        Networks", SIAM Journal on Scientific Computing 43(5), 2021, algorithm 1. Wang et al., "An Expert's Guide to
        Training Physics-informed Neural Networks", 2023, algorithm 1.

    Deviations:
        The new weights hold in the step that computes them, as in the papers; the code and jaxpi use them from the next
        step on. The code has one weight for all boundary losses together, ours are one for each. PhysicsNeMo-Sym and
        ReLoBRaLo's repository add 1e-8 to the denominator of "mean"; PhysicsNeMo-Sym smooths the reference's own
        weight, too, which is 1 up to that number.
    """

    usual_task_specific = "weighted"
    why_small_weights_are_fine = "it brings its loss's gradient to the common size"

    def __init__(
        self,
        form: str = "paper",
        *,
        reference: str | int | None = None,
        momentum: float = 0.9,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 10,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.form = checks.one_of("form", form, list(TARGETS))
        self._target = TARGETS[self.form]
        if reference is not None and not isinstance(reference, str):
            if isinstance(reference, bool) or not isinstance(reference, numbers.Integral):
                raise TypeError(f"`reference` must be a name, a place or None. Received: reference={reference!r}")
            reference = checks.integer("reference", reference, minimum=0)
        if reference is not None and not self._target.has_reference:
            raise ValueError(f"`reference` must be None for the form {form!r}. Received: reference={reference!r}")
        self.reference = reference
        self._place: int = 0  # the reference's; set once the losses are known
        self.momentum = checks.momentum("momentum", momentum, dtype=self.compute_dtype)

    def create_state(self, k: int) -> None:
        self._place = self._checked_place(k)
        super().create_state(k)

    def _checked_place(self, k: int) -> int:
        if isinstance(self.reference, str):
            if self.reference not in self.names:
                raise ValueError(f"`reference` must be one of {self.names}. Received: reference={self.reference!r}")
            return self.names.index(self.reference)
        if (self.reference or 0) >= k:
            raise ValueError(f"`reference` must be below the {k} losses. Received: reference={self.reference!r}")
        return self.reference or 0

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        last = tf.cast(tf.convert_to_tensor(self.last), tf.float64)
        weights = smoothed(last, self._target.weights(gradients, last, self._place), self.momentum)
        if not self._target.has_reference:
            return weights
        return tf.where(tf.range(len(self.names)) == self._place, tf.ones_like(weights), weights)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "form": self.form,
            "reference": self.reference,
            "momentum": self.momentum,
        }
