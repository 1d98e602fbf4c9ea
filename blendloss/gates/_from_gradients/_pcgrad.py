"""Gradients that are projected off those they conflict with."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks, random
from blendloss._internal.serialization import register
from blendloss._solvers.gram import size, solved
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.needs import Needs

REDUCTIONS = ("sum", "mean")
FORMS = ("paper", "code")


def surgery(gram: tf.Tensor, orders: tf.Tensor, itself: bool = False) -> tf.Tensor:
    """The coefficients of sum_i h_i, `[K]`, float64: h_i is g_i, less its part along each g_j it conflicts with.

    Args:
        gram: M = G G', `[K, K]`.
        orders: `[K, K]` int, in row i a permutation of the losses: in which order h_i meets the g_j.
        itself: whether h_i meets g_i, too.
    """

    def solve(gram: tf.Tensor) -> tf.Tensor:
        k = size(gram)
        squares = tf.linalg.diag_part(gram)

        def step(t: tf.Tensor, parts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            met = orders[:, t]
            product = tf.reduce_sum(parts * tf.gather(gram, met), axis=1)
            conflict = (product < 0) & (itself | (met != tf.range(k, dtype=met.dtype)))
            off = tf.math.divide_no_nan(tf.where(conflict, product, tf.zeros_like(product)), tf.gather(squares, met))
            return t + 1, parts - off[:, None] * tf.one_hot(met, k, dtype=tf.float64)

        start = tf.constant(0), tf.eye(k, dtype=tf.float64)
        return tf.reduce_sum(tf.while_loop(lambda t, _: t < k, step, start)[1], axis=0)

    return solved(gram, solve)


def random_orders(k: int, seed: int, step: tf.Tensor) -> tf.Tensor:
    """K permutations of the K losses, `[K, K]`, a function of seed and step."""
    return tf.argsort(random.uniform([k, k], seed, step, tf.float64, random.ORDERS), axis=1)


@register
class PCGrad(GradientGate):
    """Each gradient loses its part along every gradient that it conflicts with, and they are added up (PCGrad).

        h_k = G_k;    for the other j in random order: if h_k . G_j < 0, h_k <- h_k - (h_k . G_j / |G_j|^2) G_j
        d = sum_k h_k

    so that every weight is at least 1. For two losses that conflict g_k = 1 - G_1 . G_2 / |G_k|^2; without a conflict
    the weights are 1. From the K x K products of the gradients.

    Args:
        form: "paper", each h_k meets the others in an order of its own, drawn in each step; "code", the one published
            first, whose shuffle has no effect: in the losses' order, the k-th among them.
        reduction: "sum", as above; "mean" divides by K.
        seed: an integer of 64 bits, for the form "paper" alone. The orders are a function of seed and step.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            nash-mtl and LibMTL.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or a seed is given where nothing is drawn. When a blend with it
            is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.PCGrad(seed=0))
        >>> w = tf.Variable([1.0, 1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": w[0] + 2 * w[2], "b": w[1] - w[0]}  # gradients (1, 0, 2) and (-1, 1, 0)
        >>> [round(float(g), 3) for g in blend.gradients(tape, values, [w], step=0).output.weights]
        [1.2, 1.5]

    References:
        Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, arXiv:2001.06782, algorithm 1, and its
        code.

    Deviations:
        LibMTL and nash-mtl let h_k meet G_k, too, which matters where the others turned it against it; LibMTL adds 1e-8
        to |G_j|^2; nash-mtl shuffles the list that it runs through.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "each loss has at least the weight 1"

    def __init__(
        self,
        form: str = "paper",
        *,
        reduction: str = "sum",
        seed: int | None = None,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.form = checks.one_of("form", form, FORMS)
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)
        if (seed is None) != (form == "code"):
            raise ValueError(f"`seed` must be given for the form 'paper', and only then. Received: seed={seed!r}")
        self.seed = None if seed is None else random.checked_seed(seed)
        if seed is not None:
            self.needs |= Needs.STEP

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        k = len(self.names)
        if self.seed is None:
            orders = tf.tile(tf.range(k)[None, :], [k, 1])
        else:
            orders = random_orders(k, self.seed, context.step)
        weights = surgery(gradients.gram(), orders, itself=self.seed is None)
        return weights / k if self.reduction == "mean" else weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "form": self.form, "reduction": self.reduction, "seed": self.seed}
