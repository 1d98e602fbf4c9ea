"""The inner problem of FairGrad; with alpha = 1, of Nash-MTL."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blendloss._solvers.gram import STATIONARY, applied, cosines, norms, solved
from blendloss._solvers.linear import solution

_STEPS = 200
_EPSILON = 2.0**-52
#: The lengths of a Newton step to try are 2^5 to 2^-16. Long ones detect unbounded growth early; far from the solution,
#: short ones are needed.
_LONGEST, _SHORTEST = 5, -16
#: The largest part of an element that a step may subtract.
_BOUNDARY = 0.99
#: The largest relative change for which the whole step is taken without a search.
_NEAR = 0.1


def fair(gram: Any, alpha: float) -> tf.Tensor:
    """The a > 0 with (Ma)_k = a_k^(-1/alpha) for every k, `[K]`, float64.

    With beta = 1/alpha, a minimizes a'Ma/2 - sum_k phi(a_k) with phi' = a^-beta: phi is log a for beta = 1, else
    a^(1-beta) / (1-beta). This function is strictly convex, so there is at most one solution. There is one unless some
    convex combination of the gradients is 0. In the units a_k = |g_k|^(-2/(1+beta)) x_k, orthogonal gradients
    have x = 1, and with y = u x, u_k = |g_k|^((beta-1)/(beta+1)), and the cosines C it reads

        C y = u x^-beta,    Newton's step  (C + diag(beta x^(-1-beta))) D = u x^-beta - C y

    The step's length is the best of 2^5 ... 2^-16 for which each element keeps at least 1 % of its value. Differences
    of the function are computed without cancellation. The length is 1 if no element changes by 10 %. The iteration
    stops when every equation holds to 8 K 2^-52 of the sum of its terms' sizes, or after 200 steps. 4 to 10 steps are
    usual; if alpha is not 1, 30 if the gradients' lengths differ by a factor of 1e8, and 100 if by 1e16.

    The equation of a zero gradient has no solution: its coefficient is 0, and the others are solved without it. At a
    Pareto-stationary point a would be infinite: if |d| <= 1e-6 sum_k a_k |g_k| in some step, all coefficients are 0.

    Args:
        gram: M = G G', the inner products of the K gradients, `[K, K]`.
        alpha: a positive float.
    """
    return solved(gram, lambda gram: _coefficients(gram, 1.0 / alpha)[0])


# Eager calls run this as a graph, too: a loop of small operations is then ten times faster.
@tf.function(autograph=False)
def _coefficients(gram: tf.Tensor, beta: float) -> tuple[tf.Tensor, tf.Tensor]:
    lengths = norms(gram)
    moves = lengths > 0
    lengths = tf.where(moves, lengths, tf.ones_like(lengths))
    between = cosines(gram)
    u = lengths ** ((beta - 1) / (beta + 1))
    k = int(lengths.shape[0])
    counted = tf.cast(moves, tf.float64)

    def residual(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y = u * x
        push = u * x**-beta
        return push - applied(between, y), push + applied(tf.abs(between), y)

    def stationary(x: tf.Tensor) -> tf.Tensor:
        y = counted * u * x
        square = tf.reduce_sum(y * applied(between, y))
        return tf.sqrt(tf.maximum(square, 0.0)) <= STATIONARY * tf.reduce_sum(y)

    def going(i: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        missing, terms = residual(x)
        solved_ = tf.reduce_all(tf.abs(missing) <= 8 * k * _EPSILON * terms)
        return (i < _STEPS) & ~solved_ & ~stationary(x)

    def step(i: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        missing, _ = residual(x)
        hessian = between + tf.linalg.diag(beta * x ** (-1 - beta))
        change = solution(hessian, missing) / u
        share = change / x
        tried, allowed = _lengths(share)
        weight = u**2 * x ** (1 - beta)
        y_change = u * change
        curve = tf.reduce_sum(y_change * applied(between, y_change))
        bent = tf.reduce_sum(weight * _bend(tf.maximum(tried[:, None] * share, -_BOUNDARY), beta), axis=1)
        rise = -tried * tf.reduce_sum(y_change * missing) + tried**2 * curve / 2 + bent
        best = tf.argmin(tf.where(allowed, rise, tf.constant(float("inf"), tf.float64)))
        # There the whole step converges quadratically, and the differences are rounding of the largest terms.
        near = max(1.0, beta) * tf.reduce_max(tf.abs(share)) <= _NEAR
        # Not `tried[best]`: XLA treats the bounds of a slice as constants, and compiles again when they change.
        return i + 1, x + tf.where(near, tf.ones_like(tried[0]), tf.gather(tried, best)) * change

    steps, x = tf.while_loop(going, step, (tf.constant(0), tf.ones_like(lengths)))
    coefficients = counted * lengths ** (-2 / (1 + beta)) * x
    return tf.where(stationary(x), tf.zeros_like(x), coefficients), steps


def _lengths(share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Lengths of a step that changes x by `share` x, and for which of them each element keeps at least 1 %."""
    powers = tf.constant([2.0**-j for j in range(-_LONGEST, -_SHORTEST + 1)], tf.float64)
    longest = tf.math.divide_no_nan(_BOUNDARY, tf.maximum(tf.reduce_max(-share), 0.0))
    # One length ends at the boundary.
    tried = tf.concat([powers, tf.where(longest > 0, tf.minimum(longest, 1.0), 1.0)[None]], axis=0)
    return tried, (longest == 0) | (tried <= longest)


def _bend(share: tf.Tensor, beta: float) -> tf.Tensor:
    """s - (phi(x + s x) - phi(x)) x^(beta-1): the distance of phi below its tangent."""
    grown = tf.math.log1p(share)
    if beta != 1:
        grown = tf.math.expm1((1 - beta) * grown) / (1 - beta)
    return share - grown
