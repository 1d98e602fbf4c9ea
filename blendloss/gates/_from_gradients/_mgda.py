"""The direction of least norm that goes down in every loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss._solvers.min_norm import min_norm
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.needs import Needs
from blendloss.gates._base.values import shared_values


def multiple_descent(gram: tf.Tensor, sizes: tf.Tensor | None = None) -> tf.Tensor:
    """a on the simplex with |sum_k a_k g_k / s_k| least, `[K]`, float64; a size s_k of 0 counts as 1."""
    if sizes is not None:
        sizes = tf.cast(sizes, tf.float64)
        sizes = tf.where(sizes == 0, tf.ones_like(sizes), sizes)
        gram = gram / sizes[:, None] / sizes[None, :]
    return min_norm(gram)


def _norms(gate: MGDA, gradients: LossGradients, context: Context) -> tf.Tensor:
    """|G_k|."""
    return gradients.norms()


def _losses(gate: MGDA, gradients: LossGradients, context: Context) -> tf.Tensor:
    """|l_k|."""
    return tf.abs(tf.cast(shared_values(gate, context), tf.float64))


def _losses_times_norms(gate: MGDA, gradients: LossGradients, context: Context) -> tf.Tensor:
    """|l_k| |G_k|."""
    return _losses(gate, gradients, context) * gradients.norms()


@dataclasses.dataclass(frozen=True)
class Normalization:
    """What the gradients are divided by: s, `[K]`, of (gate, gradients, context), or None; and what that needs."""

    sizes: Callable[[MGDA, LossGradients, Context], tf.Tensor | None]
    needs: Needs = Needs.NOTHING


NORMALIZATIONS: dict[str | None, Normalization] = {
    None: Normalization(lambda gate, gradients, context: None),
    "l2": Normalization(_norms),
    "loss": Normalization(_losses, Needs.VALUES),
    "loss+": Normalization(_losses_times_norms, Needs.VALUES),
}


@register
class MGDA(GradientGate):
    """Weights on the simplex that make the combined gradient as short as it can be: it goes down in every loss (MGDA).

        g minimizes |sum_k g_k G_k / s_k|^2 over g >= 0, sum_k g_k = 1;    s_k = 1 without normalization

    With s = 1, d . G_k >= |d|^2 for every k, with equality where g_k > 0; d = 0 at a Pareto-stationary point. It is
    found exactly, by an active set of the K x K products of the gradients.

    Args:
        normalize: None; or what each gradient is divided by before the weights are sought, for losses of
            different units: "l2", s_k = |G_k|; "loss", |l_k|; "loss+", |l_k| |G_k|. The weights are of the gradients as
            they are.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "weighted" in
            the authors' code.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`. Where several solve the problem, it is one with few
        that are positive; zero gradients share the weight equally.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.MGDA())
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 2 * w[0], "b": w[1]}  # gradients (2, 0) and (0, 1)
        >>> found = blend.gradients(tape, values, [w], step=0)
        >>> [round(float(g), 3) for g in found.output.weights], [round(float(d), 3) for d in found.gradients[0]]
        ([0.2, 0.8], [0.4, 0.8])

    References:
        Désidéri, "Multiple-Gradient Descent Algorithm (MGDA) for Multiobjective Optimization", C. R. Acad. Sci. Paris,
        Ser. I 350, 2012. Sener and Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018,
        arXiv:1810.04650, and its code for the normalizations and the heads. Lawson and Hanson, "Solving Least Squares
        Problems", 1974, chapter 23, for the active set.

    Deviations:
        The authors' solver stops at changes of 1e-5 and never gives a weight below 0.001 on a pair's line; TorchJD's is
        of Frank and Wolfe, with an error of about 1e-3. nash-mtl multiplies the weights by K. LibMTL adds up the
        normalized gradients instead of the given ones. The authors' approximation at the representation that the
        losses share (MGDA-UB) is not here.
    """

    usual_task_specific = "weighted"
    why_small_weights_are_fine = "its loss's gradient is long, or the others' go down in it, too"

    def __init__(
        self,
        normalize: str | None = None,
        *,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.normalize = checks.one_of("normalize", normalize, list(NORMALIZATIONS))
        self._normalization = NORMALIZATIONS[self.normalize]
        self.needs |= self._normalization.needs

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        return multiple_descent(gradients.gram(), self._normalization.sizes(self, gradients, context))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "normalize": self.normalize}
