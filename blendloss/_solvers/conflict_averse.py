"""The inner problem of CAGrad."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from blendloss._solvers.gram import STATIONARY, applied, length, norms, size, solved
from blendloss._solvers.min_norm import Hull, hull

#: The most trials of theta. Each computes a point of least norm.
_TRIALS = 60
_CLOSE = 1e-14


def conflict_averse(gram: Any, radius: float) -> tf.Tensor:
    """The coefficients of the d with the largest min_k d . g_k in the ball |d - g_0| <= c |g_0|, `[K]`, float64.

    With the mean gradient g_0 = sum_k g_k / K and g_w = sum_k w_k g_k, w on the simplex minimizes
    F(w) = g_w . g_0 + c |g_0| |g_w|, and d = g_0 + c |g_0| g_w / |g_w|: the coefficients are 1/K + (|g_0| / theta) w
    with theta = |g_w| / c.

    |g_w| is the least value of (|g_w|^2 / (c theta) + c theta) / 2 over theta > 0. So for a given theta, w is the point
    of least norm in the hull of g_k + theta g_0 / |g_0|. The minimum of F over w is convex in theta. |g_w(theta)| /
    theta decreases, and the solution is where it equals c. While the same w_k are positive (a piece), w is linear in
    theta, and the solution is a root of a quadratic. The search keeps a bracket and tries these roots. If a root leaves
    the bracket, it bisects the bracket geometrically. It stops when a root lies on the piece from which it was computed
    and has been computed again there (it is then exact to rounding), when theta or the bracket changes by less than
    1e-14, or after 60 trials (3 to 10 are usual).

    A Pareto-stationary point, where |g_w| <= 1e-6 sum_k w_k |g_k|, has only d = 0 for c >= 1. The coefficients are then
    0. They are also 0 if |g_0| = 0 to the same rounding. At c = 0, d = g_0 and they are 1/K.

    Args:
        gram: M = G G', the inner products of the K gradients, `[K, K]`.
        radius: c, a float of at least 0.
    """
    return solved(gram, lambda gram: _coefficients(gram, radius)[0])


# Eager calls run this as a graph, too: a loop of small operations is then ten times faster.
@tf.function(autograph=False)
def _coefficients(gram: tf.Tensor, radius: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The coefficients `[K]`, and the numbers of trials and of steps of the active set."""
    k = size(gram)
    mean = tf.fill([k], tf.constant(1.0 / k, tf.float64))
    if radius == 0:
        return mean, tf.constant(0), tf.constant(0)
    lengths = norms(gram)
    # In units of the longest gradient, so that its square neither overflows nor underflows.
    unit = tf.reduce_max(lengths)
    unit = tf.where(unit > 0, unit, tf.ones_like(unit))
    gram, lengths = gram / unit / unit, lengths / unit
    mean_length = length(gram, mean)
    level = mean_length <= STATIONARY * tf.reduce_mean(lengths)
    along = applied(gram, mean) / tf.where(level, tf.ones_like(mean_length), mean_length)

    def going(search: _Search) -> tf.Tensor:
        return (search.trial < _TRIALS) & ~search.done

    def step(search: _Search) -> tuple[_Search]:
        return (_step(gram, along, lengths, radius, search),)

    least = length(gram, hull(gram).coefficients)
    high = tf.reduce_max(lengths) / radius
    low = tf.clip_by_value(least / radius * (1 - _CLOSE), 1e-20 * high, high)
    theta = tf.clip_by_value(mean_length / radius, low, high)
    nothing, none = tf.constant(0), tf.zeros([k], tf.bool)
    start = _Search(nothing, nothing, level, nothing, none, theta, low, high * (1 + _CLOSE), mean)
    (found,) = tf.while_loop(going, step, (start,))
    w_length = length(gram, found.w)
    stationary = level | (w_length <= STATIONARY * tf.reduce_sum(found.w * lengths))
    added = radius * mean_length / tf.where(stationary, tf.ones_like(w_length), w_length) * found.w
    return tf.where(stationary, tf.zeros_like(added), mean + added), found.trial, found.steps


class _Search(NamedTuple):
    """The state of the search for theta.

    Args:
        trial: the number of trials so far, a scalar.
        steps: the number of steps of the active set in all trials, a scalar.
        done: whether theta is found, bool.
        streak: the number of consecutive roots that were computed on the `piece`, a scalar.
        piece: where w is positive, `[K]` bool.
        theta: the next trial.
        low: the lower end of the bracket.
        high: the upper end of the bracket.
        w: w of the last trial, `[K]`.
    """

    trial: tf.Tensor
    steps: tf.Tensor
    done: tf.Tensor
    streak: tf.Tensor
    piece: tf.Tensor
    theta: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    w: tf.Tensor


def _step(gram: tf.Tensor, along: tf.Tensor, lengths: tf.Tensor, radius: float, search: _Search) -> _Search:
    theta = search.theta
    found = hull(gram + theta * (along[:, None] + along[None, :]) + theta**2)
    w = found.coefficients
    square = tf.maximum(tf.reduce_sum(w * applied(gram, w)), 0.0)
    excess = square - (radius * theta) ** 2
    over = excess > 0  # the root is above
    low, high = tf.where(over, theta, search.low), tf.where(over, search.high, theta)
    root = _root(gram, radius, w, _slope(found, along, theta), excess, theta)
    inside = (root >= low) & (root <= high)
    following = tf.where(inside, root, tf.sqrt(low * high))
    # The error of a root far from theta is proportional to theta: another root corrects it.
    streak = tf.where(tf.reduce_all(search.piece == found.chosen), search.streak + 1, 0)
    stationary = ~over & (tf.sqrt(square) <= STATIONARY * tf.reduce_sum(w * lengths))
    closed = (tf.abs(following - theta) <= _CLOSE * theta) | (high - low <= _CLOSE * high)
    return _Search(
        search.trial + 1,
        search.steps + found.iterations,
        (streak >= 2) | stationary | closed,
        tf.where(inside, streak, 0),
        found.chosen,
        following,
        low,
        high,
        w,
    )


def _root(
    gram: tf.Tensor, radius: float, w: tf.Tensor, slope: tf.Tensor, excess: tf.Tensor, theta: tf.Tensor
) -> tf.Tensor:
    """The theta with |g_w| = c theta if w continues along its `slope`; NaN if there is none."""
    # excess + 2 half x + curve x^2 is |g_w|^2 - c^2 (theta + x)^2 at theta + x
    half = tf.reduce_sum(slope * applied(gram, w)) - radius**2 * theta
    curve = tf.reduce_sum(slope * applied(gram, slope)) - radius**2
    return theta + excess / (tf.sqrt(half**2 - curve * excess) - half)


def _slope(found: Hull, along: tf.Tensor, theta: tf.Tensor) -> tf.Tensor:
    """dw / dtheta while the same elements are positive: (P + s 11') y = s 1, w = y / 1'y, P' = h1' + 1h' + 2 theta."""
    w = found.coefficients
    y = w * found.mass
    changed = along * found.mass + tf.reduce_sum(along * y) + 2 * theta * found.mass
    y_slope = -applied(found.inverse, changed)
    return (y_slope - w * tf.reduce_sum(y_slope)) / found.mass
