"""The direction whose projections on all gradients are equal."""

from __future__ import annotations

import tensorflow as tf

from blendloss._internal.serialization import register
from blendloss._solvers.eigen import ROUNDING, pseudo_inverse_applied
from blendloss._solvers.gram import cosines, norms, size, solved
from blendloss.gates._base.context import Context
from blendloss.gates._base.gradient_gate import GradientGate
from blendloss.gates._base.loss_gradients import LossGradients


def impartial(gram: tf.Tensor) -> tf.Tensor:
    """g with sum 1 and sum_j g_j G_j . G_k / |G_k| the same for every k that has a gradient, `[K]`, float64."""
    return solved(gram, _impartial)


def _impartial(gram: tf.Tensor) -> tf.Tensor:
    lengths = norms(gram)
    moves = tf.cast(lengths > 0, tf.float64)
    if size(gram) <= 2:  # equal projections whatever the angle, also where the gradients are parallel
        parts = moves
    else:
        parts = moves * pseudo_inverse_applied(cosines(gram), moves, size(gram) * ROUNDING)
    # In units of the longest, so that the reciprocals neither over- nor underflow.
    longest = tf.reduce_max(lengths)
    parts = tf.math.divide_no_nan(parts * longest, lengths)
    total = tf.reduce_sum(parts)
    # Less than this is rounding of what cancels, as where two gradients are opposite.
    nothing = tf.abs(total) <= 1e-12 * tf.reduce_sum(tf.abs(parts))
    return tf.where(nothing, tf.zeros_like(parts), parts / tf.where(nothing, tf.ones_like(total), total))


@register
class IMTLG(GradientGate):
    """The direction whose projections on the gradients of all losses are equal (IMTL-G).

        d . G_k / |G_k| the same for every k,    d = sum_k g_k G_k,    sum_k g_k = 1
        g_k proportional to (C^-1 1)_k / |G_k|,    C_kj the cosine of G_k and G_j

    For two losses that is g_1 = |G_2| / (|G_1| + |G_2|), whatever their angle. With three or more, weights may be
    negative, and the common projection, too: then d goes up in every loss. Linearly dependent gradients have the
    pseudo-inverse in place of C^-1; if that leaves a sum of 0, the weights are 0. A loss with no gradient has the
    weight 0.

    Args:
        variables: where gradients are measured, "shared", "last" or patterns of paths; see `GradientGate`.
        task_specific: "weighted" or "unweighted", for variables of one loss alone; see `GradientGate`; "unweighted" in
            LibMTL, "weighted" in nash-mtl.
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
        >>> blend = bl.Blend(["a", "b"], gate=bl.gates.IMTLG())
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     values = {"a": 3 * w[0] + 4 * w[1], "b": 15 * w[1]}  # lengths 5 and 15
        >>> blend.gradients(tape, values, [w], step=0).output.weights.numpy().round(3).tolist()
        [0.75, 0.25]

    References:
        Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021. With `IMTLL`, the other half, it is IMTL.

    Deviations:
        LibMTL and nash-mtl invert a matrix of differences, which dependent gradients make singular. TorchJD inverts the
        matrix of products instead of cosines: where gradients are dependent, it weighs them otherwise, in a way that
        depends on the losses' units.
    """

    usual_task_specific = "unweighted"
    why_small_weights_are_fine = "its loss's gradient is long"

    def weigh(self, gradients: LossGradients, context: Context) -> tf.Tensor:
        return impartial(gradients.gram())
