"""Gradients whose signs disagree, dropped at random by sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from blendloss._internal import checks, random
from blendloss._internal.serialization import register
from blendloss.gates._base.context import Context
from blendloss.gates._base.gating import Gating
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.needs import Needs


def purity(rows: tf.Tensor) -> tf.Tensor:
    """P = (1 + sum_k g_k / sum_k |g_k|) / 2 of each element, `[K, size]` -> `[size]`; 1/2 where all are 0."""
    size = tf.reduce_sum(tf.abs(rows), axis=0)
    nothing = size == 0
    return (1 + tf.reduce_sum(rows, axis=0) / tf.where(nothing, tf.ones_like(size), size)) / 2


def kept(rows: tf.Tensor, uniforms: tf.Tensor, leaks: tf.Tensor) -> tf.Tensor:
    """What is kept of each element, `[K, size]`: 1 or the leak, as its sign is the drawn one or not."""
    positive = purity(rows) > uniforms
    drawn = tf.where(positive, rows > 0, rows < 0)
    leaks = leaks[:, tf.newaxis]
    return leaks + (1 - leaks) * tf.cast(drawn, rows.dtype)


@register
class GradDrop(GradientGate):
    """Gradient sign dropout: of each element's gradients, those of one sign pass, chosen at random.

        P = (1 + sum_k g_k / sum_k |g_k|) / 2,    the sign is + if U < P, else -, U uniform on (0, 1)
        direction = sum_k (leak_k + (1 - leak_k) [g_k has that sign]) g_k

    for each element of each variable that at least two losses act on. An element whose gradients agree is left as it
    is; one where they cancel is moved by either side half of the time. The g_k are of the losses as the mode weighs
    them; under soft gating each has the weight 1.

    Args:
        leak: what passes of the other sign, from 0 to 1: a number, or one for each loss. 1 is the plain sum.
        seed: an integer of 64 bits. The signs are a function of seed, step and place.
        variables: where signs are chosen; elsewhere gradients add up. As of `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; what one loss
            alone acts on keeps its sign in any case.
        name: the layer's name.
        dtype: of the logits.

    Returns:
        `gating(context)` gives equal logits `[K]` and the total K.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if `leak` is out of its range, or has not one number for each loss. When a blend with it is called
            in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.GradDrop(seed=2))
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 3 * w[0] + w[1], "b": 2 * w[1] - w[0]}  # gradients (3, 1) and (-1, 2)
        >>> [blend.gradients(tape, values, [w], step=step).gradients[0].numpy().tolist() for step in range(3)]
        [[3.0, 3.0], [3.0, 3.0], [-1.0, 3.0]]

    References:
        Chen et al., "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout", NeurIPS 2020,
        algorithm 1.

    Deviations:
        The paper, and LibMTL, choose signs at the activations that the losses share, of the gradients times the
        activations' signs, summed over the batch; this does it at the gradients of the variables, as TorchJD and the
        repositories of CAGrad and FAMO do. The paper's monotone f of P is the identity. LibMTL adds 1e-7, others 1e-8,
        to the denominator of P. SamsungLabs/MTL swaps the leak's two parts.
    """

    needs = Needs.STEP
    stateful = False
    why_small_weights_are_fine = "each loss has the weight 1"

    def __init__(
        self,
        leak: Any = 0.0,
        *,
        seed: int,
        variables: Any = SHARED,
        task_specific: str | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, name=name, dtype=dtype)
        self.leak = checks.number_or_numbers("leak", leak, dtype=self.compute_dtype)
        if not all(0 <= entry <= 1 for entry in np.ravel(self.leak)):
            raise ValueError(f"`leak` must lie between 0 and 1. Received: leak={leak!r}")
        self.seed = random.checked_seed(seed)
        # Set once the losses are known.
        self._leaks: list[float] = []

    def create_state(self, k: int) -> None:
        self._leaks = checks.for_each("leak", self.leak, k)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        return tf.ones([len(self.names)], self.compute_dtype)

    def gating(self, context: Context) -> Gating:
        k = len(self.names)
        return Gating(tf.zeros([k], self.compute_dtype), tf.constant(k, self.compute_dtype))

    def combined(self, weights: tf.Tensor, gradients: LossGradients, context: Context) -> list[tf.Tensor | None]:
        each, matrices = gradients.each, gradients.matrices()
        found = super().combined(weights, gradients, context)
        places = [place for place in gradients.places() if any(of_loss[place] is not None for of_loss in each)]
        sizes = [rows.shape[1] for rows in matrices]
        drawn = tf.split(random.uniform([sum(sizes)], self.seed, context.step, stream=random.DROPS), sizes)
        leaks = tf.constant(self._leaks, tf.float64)
        weights = tf.cast(weights, tf.float64)[:, tf.newaxis]
        for place, rows, uniforms in zip(places, matrices, drawn, strict=True):
            if not gradients.shared[place]:
                continue
            # The rows are of the whole batch, so that the replicas choose the same signs.
            weighed = tf.where(weights == 0, tf.zeros([], tf.float64), weights * tf.cast(rows, tf.float64))
            factors = tf.unstack(weights * kept(weighed, tf.cast(uniforms, tf.float64), leaks))
            total = tf.add_n(
                [
                    _times(of_loss[place], factor, weight)
                    for of_loss, factor, weight in zip(each, factors, tf.unstack(weights[:, 0]), strict=True)
                    if of_loss[place] is not None
                ]
            )
            if gradients.scaled:  # a scale that is too large for the sum of the losses must be seen
                total += tf.where(tf.math.is_finite(found[place]), tf.zeros_like(total), found[place])
            found[place] = total
        return found

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["every"]
        return {**config, "leak": self.leak, "seed": self.seed}


def _times(gradient: tf.Tensor, factor: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """`gradient` times `factor`; what is not finite stays so where it is dropped, but for a loss that has no weight."""
    product = gradient * tf.cast(tf.reshape(factor, tf.shape(gradient)), gradient.dtype)
    return tf.where(weight == 0, tf.zeros_like(product), product)
