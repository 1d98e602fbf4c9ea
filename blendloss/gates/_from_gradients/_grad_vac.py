"""Gradients that are turned towards each other, to the cosines that are usual between them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._internal import checks, random
from blendloss._internal.serialization import register
from blendloss._solvers.gram import applied, norms, size
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.needs import Needs
from blendloss.gates._from_gradients._pcgrad import random_orders

FOLLOWS = ("all", "below")


def vaccinated(gram: Any, orders: tf.Tensor, targets: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The coefficients of sum_i h_i, `[K]`, and the cosines r_ij that were met, `[K, K]`, float64; NaN for such a Gram.

    Args:
        gram: M = G G', `[K, K]`.
        orders: `[K, K]` int, in row i a permutation of the losses: in which order h_i meets the g_j, j != i.
        targets: phi, `[K, K]`.
    """
    gram = tf.cast(gram, tf.float64)
    targets = tf.cast(targets, tf.float64)
    finite = tf.reduce_all(tf.math.is_finite(gram))
    k = size(gram)
    gram = tf.where(finite, gram, tf.eye(k, dtype=tf.float64))
    lengths = norms(gram)

    def step(t: tf.Tensor, parts: tf.Tensor, cosines: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        met = orders[:, t]
        one = tf.one_hot(met, k, dtype=tf.float64)
        other = tf.gather(lengths, met)
        product = tf.reduce_sum(parts * tf.gather(gram, met), axis=1)
        own = tf.sqrt(tf.maximum(tf.reduce_sum(parts * applied(gram[None], parts), axis=1), 0.0))
        cosine = tf.math.divide_no_nan(tf.math.divide_no_nan(product, own), other)
        cosine = tf.clip_by_value(cosine, -1.0, 1.0)
        target = tf.reduce_sum(targets * one, axis=1)
        turns = (cosine < target) & (met != tf.range(k, dtype=met.dtype))
        sine, aim = tf.sqrt(1 - cosine**2), tf.sqrt(1 - target**2)
        change = tf.math.divide_no_nan(own * (target * sine - cosine * aim), other * aim)
        change = tf.where(turns, change, tf.zeros_like(change))
        return t + 1, parts + change[:, None] * one, cosines + cosine[:, None] * one

    start = tf.constant(0), tf.eye(k, dtype=tf.float64), tf.zeros([k, k], tf.float64)
    _, parts, cosines = tf.while_loop(lambda t, *_: t < k, step, start)
    unknown = tf.constant(float("nan"), tf.float64)
    return tf.where(finite, tf.reduce_sum(parts, axis=0), unknown), tf.where(finite, cosines, unknown)


@register
class GradVac(GradientGate):
    """Each gradient is turned towards the others until its cosines with them are the usual ones (GradVac).

        h_k = G_k;    for the other j in random order, with r = cos(h_k, G_j): if r < phi_kj,
            h_k <- h_k + |h_k| (phi_kj sqrt(1 - r^2) - r sqrt(1 - phi_kj^2)) / (|G_j| sqrt(1 - phi_kj^2)) G_j
        phi_kj <- (1 - beta) phi_kj + beta r;    d = sum_k h_k

    so that cos(h_k, G_j) becomes phi_kj. phi is 0 at first: then this is `PCGrad`. It takes the cosines as usual that
    it meets, before it turns h_k. From the K x K products of the gradients.

    Args:
        beta: how fast phi follows, above 0 and up to 1; 0.5 in LibMTL, TorchJD and SamsungLabs/MTL.
        follow: "all", phi follows every cosine; "below", only those below it, as in SamsungLabs/MTL, so that it never
            rises.
        seed: an integer of 64 bits. The orders are a function of seed and step.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            LibMTL and SamsungLabs/MTL.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`. phi is the variable `targets`, `[K, K]`; a step whose
        gradients are not finite leaves it as it was. A gradient of 0 has cosines of 0, and a target of 1 turns nothing.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range. When a blend with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.GradVac(seed=0))
        >>> w = tf.Variable([1.0, 1.0, 1.0])
        >>> for step in range(2):
        ...     with tf.GradientTape(persistent=True) as tape:
        ...         values = {"a": w[0] + 2 * w[2], "b": w[1] - w[0]}  # gradients (1, 0, 2) and (-1, 1, 0)
        ...     print([round(float(g), 3) for g in blend.gradients(tape, values, [w], step=step).output.weights])
        [1.2, 1.5]
        [1.104, 1.26]

    References:
        Wang et al., "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual
        Models", ICLR 2021, arXiv:2010.05874, algorithm 1.

    Deviations:
        LibMTL and TorchJD add 1e-8 to the denominators. The paper keeps phi for each layer or for the whole model; here
        it is one for what is measured.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "each loss counts as itself, and more where gradients conflict"

    def __init__(
        self,
        beta: float = 0.5,
        *,
        seed: int,
        follow: str = "all",
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.beta = checks.positive("beta", beta, maximum=1, dtype=self.compute_dtype)
        self.follow = checks.one_of("follow", follow, FOLLOWS)
        self.seed = random.checked_seed(seed)
        self.needs |= Needs.STEP
        # Set once the losses are known.
        self.targets: Any = None

    def create_state(self, k: int) -> None:
        super().create_state(k)
        self.targets = self.add_state("targets", (k, k))

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        targets = tf.convert_to_tensor(self.targets)
        k = len(self.names)
        weights, cosines = vaccinated(gradients.gram(), random_orders(k, self.seed, context.step), targets)
        cosines = tf.linalg.set_diag(tf.cast(cosines, targets.dtype), tf.zeros([k], targets.dtype))
        follows = tf.math.is_finite(cosines)
        if self.follow == "below":
            follows = follows & (cosines < targets)
        # Replicas compute the weights in every step.
        follows = follows & (tf.convert_to_tensor(context.step) % self.every == 0)
        self.targets.assign(tf.where(follows, targets + self.beta * (cosines - targets), targets))
        return weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta": self.beta, "follow": self.follow, "seed": self.seed}
