"""Projections of gradients on the directions in which no loss rises."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._solvers.gram import cosines, norms, size, solved
from blendloss._solvers.nonnegative import minimum


def dual_cone(gram: Any, preference: Any) -> tf.Tensor:
    """The coefficients of sum_k p_k proj(g_k), with proj the projection on {x: x . g_i >= 0 for all i}, `[K]`, float64.

    The projection of g_k on that cone is sum_i v_i g_i, where v minimizes v'Mv over v_i >= [i = k] (the dual problem).
    With v_i = (|g_k| / |g_i|) ([i = k] + z_i) it is, for each k, a quadratic program in the gradients' cosines C:

        minimize   z'Cz / 2 + C_k. z   over   z >= 0

    All K programs are solved at once by an active set, exactly to rounding (`nonnegative.minimum`). They do not depend
    on the lengths of the gradients. The direction d then has d . g_i >= 0 for all i. A zero gradient keeps its p_k. If
    several v are solutions, the result is one with few positive z.

    Args:
        gram: M = G G', the inner products of the K gradients, `[K, K]`.
        preference: p, `[K]`, numbers of at least 0.
    """
    if not tf.is_tensor(preference):  # `tf.cast` would round Python numbers to float32 first
        preference = tf.constant(preference, tf.float64)
    preference = tf.cast(preference, tf.float64)

    def solve(gram: tf.Tensor) -> tf.Tensor:
        k = size(gram)
        between = cosines(gram)
        found = minimum(tf.broadcast_to(between, [k, k, k]), -between)
        lengths = norms(gram)
        added = tf.reduce_sum((preference * lengths)[:, None] * found.z, axis=0)
        return preference + tf.math.divide_no_nan(added, lengths)

    return solved(gram, solve)
