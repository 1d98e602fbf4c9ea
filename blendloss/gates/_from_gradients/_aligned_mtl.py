"""Gradients brought to orthogonal ones of equal length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from blendloss._internal import checks
from blendloss._internal.serialization import register
from blendloss._solvers.eigen import eigen
from blendloss._solvers.gram import size, solved
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import SHARED, LossGradients
from blendloss.gates._base.values import checked_preference, one_each

#: The code's: float32's epsilon.
_TOLERANCE = 2.0**-23


# s^2, of the eigenvalues, which of them are kept, and how many these are: float64 scalars.
Scale = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def _least(values: tf.Tensor, kept: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return _rising(values, kept)[0]


def _median(values: tf.Tensor, kept: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return tf.gather(_rising(values, kept), tf.maximum(number - 1, 0) // 2)


def _mean(values: tf.Tensor, kept: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    counted = tf.maximum(tf.cast(number, tf.float64), 1.0)
    return tf.reduce_sum(tf.where(kept, values, tf.zeros_like(values))) / counted


def _rising(values: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    return tf.sort(tf.where(kept, values, tf.constant(float("inf"), tf.float64)))


SCALES: dict[str, Scale] = {"min": _least, "median": _median, "rmse": _mean}


def align(gram: tf.Tensor, preference: Any, scale: Scale, tolerance: float) -> tf.Tensor:
    """B p with B = s V diag(lambda^-1/2) V' of the eigenvalues above `tolerance` times the largest, `[K]`, float64."""

    def solve(gram: tf.Tensor) -> tf.Tensor:
        factors = tf.constant(preference, tf.float64)
        largest = tf.reduce_max(tf.abs(gram))
        nothing = largest == 0
        values, vectors = eigen(gram / tf.where(nothing, tf.ones_like(largest), largest))
        kept = (values > tolerance * tf.reduce_max(values)) & (values > 0)
        values = tf.where(kept, values, tf.ones_like(values))
        number = tf.reduce_sum(tf.cast(kept, tf.int32))
        square = scale(values, kept, number)
        along = tf.reduce_sum(vectors * factors[:, None], axis=0)
        along = tf.where(kept, along * tf.sqrt(square / values), tf.zeros_like(along))
        return tf.where(nothing, factors, tf.reduce_sum(vectors * along[None, :], axis=1))

    return solved(gram, solve)


@register
class AlignedMTL(GradientGate):
    """Weights that make the gradients orthogonal and equally long before they are added up (Aligned-MTL).

        M = G G' = V diag(lambda) V',    B = s V diag(lambda^-1/2) V',    g = B p,    d = G'B p

    over the r eigenvalues above a tolerance: the matrix B'G, the nearest to G but for the scale s, has the condition
    number 1, so that d is stable and no loss dominates. Orthogonal gradients are all brought to the length s. Weights
    may be negative. From the K x K products of the gradients.

    Args:
        scale: s^2 of the eigenvalues that are kept: "min" their least; "median" their median, the lower one of an even
            number; "rmse" their mean.
        preference: p, non-negative, one for each loss; None is 1, as in the code.
        tolerance: an eigenvalue is kept above this times the largest; None is the code's, K 2^-23. In TorchJD, K 2^-52
            in double precision.
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            the authors' code, where it is an option.
        every: from how many steps to how many the weights are computed anew.
        name: the layer's name.
        dtype: of the weights and the state.

    Returns:
        `gating(context)` gives the weights, as in `GradientGate`; p where all gradients are 0.

    Raises:
        TypeError: if an argument has the wrong type.
        ValueError: if an argument is out of its range, or `preference` has not one number for each loss. When a blend
            with it is called in training: it needs gradients.

    Example:
        >>> import tensorflow as tf, blendloss as bl
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.AlignedMTL())
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 4 * w[0], "b": w[1]}  # orthogonal: both brought to the length 1
        >>> blend.gradients(tape, values, [w], step=0).output.weights.numpy().round(4).tolist()
        [0.25, 1.0]

    References:
        Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023, arXiv:2305.19000, and
        its code (SamsungLabs/MTL).

    Deviations:
        TorchJD's default p is 1/K. The least kept eigenvalue jumps where one comes down to the tolerance, and the
        length of d with it, in this as in the others. The variant at the representation that the losses share
        (Aligned-MTL-UB) is not here.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "its loss's gradient is long, or like the others'"

    def __init__(
        self,
        scale: str = "min",
        preference: Any = None,
        *,
        tolerance: float | None = None,
        variables: Any = SHARED,
        task_specific: str | None = None,
        every: int = 1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(variables=variables, task_specific=task_specific, every=every, name=name, dtype=dtype)
        self.scale = checks.one_of("scale", scale, list(SCALES))
        self._scale = SCALES[self.scale]
        self.preference = checked_preference("preference", preference)
        self.tolerance = None if tolerance is None else checks.between("tolerance", tolerance, 0, 1)
        # Set once the losses are known.
        self._preference: list[float] = []

    def create_state(self, k: int) -> None:
        self._preference = one_each("preference", self.preference, k, 1.0)
        super().create_state(k)

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        gram = gradients.gram()
        tolerance = size(gram) * _TOLERANCE if self.tolerance is None else self.tolerance
        return align(gram, self._preference, self._scale, tolerance)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "preference": self.preference,
            "tolerance": self.tolerance,
        }
