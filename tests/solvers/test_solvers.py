"""The inner problems of weights from gradients: optimality, closed forms, SciPy, symmetries, extremes, every regime."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from blendloss._solvers.conflict_averse import conflict_averse
from blendloss._solvers.dual_cone import dual_cone
from blendloss._solvers.fair import fair
from blendloss._solvers.min_norm import min_norm
from tests.solvers.matrices import KINDS, ROUNDING, gradients_of, gram_of, lengths_of, over_sizes

#: What `_gram.STATIONARY` calls a vanishing length, of the sum of the lengths.
STATIONARY = 1e-6


def mean_preference(gram):
    k = len(gram)
    return dual_cone(gram, np.full(k, 1 / k))


SOLVERS = {
    "min-norm": min_norm,
    "cagrad-0.4": lambda gram: conflict_averse(gram, 0.4),
    "cagrad-2": lambda gram: conflict_averse(gram, 2.0),
    "nash": lambda gram: fair(gram, 1.0),
    "fair-0.5": lambda gram: fair(gram, 0.5),
    "fair-2": lambda gram: fair(gram, 2.0),
    "dual-cone": mean_preference,
}
over_kinds = pytest.mark.parametrize("kind", KINDS)
over_solvers = pytest.mark.parametrize("name", SOLVERS)


# Optimality


@over_kinds
@over_sizes
def test_the_least_point_of_the_hull_goes_down_in_every_loss(k, kind):
    for seed in range(3):
        rows = gradients_of(kind, k, seed)
        gram, lengths = gram_of(rows), lengths_of(rows)
        a = min_norm(gram).numpy()
        assert (a >= 0).all()
        assert abs(a.sum() - 1) <= ROUNDING
        slack = gram @ a - a @ gram @ a
        unit = (a @ lengths) * lengths  # each product's rounding is relative to this; a'Ma to (a'n)^2
        allowed = ROUNDING * (unit + (a @ lengths) ** 2)
        assert (slack >= -allowed).all()
        assert (np.abs(slack[a > 0]) <= allowed[a > 0]).all()


@over_sizes
def test_the_least_point_is_scipys(k):
    for seed in range(3):
        rows = gradients_of("random", k, seed)
        a = min_norm(gram_of(rows)).numpy()
        # y'My + (1 - 1'y)^2, as least squares over y >= 0
        y, _ = scipy.optimize.nnls(np.concatenate([rows.T, np.ones((1, k))]), np.append(np.zeros(rows.shape[1]), 1.0))
        # The condition of a least-squares problem times both sides' rounding.
        np.testing.assert_allclose(a, y / y.sum(), atol=1e-12)


@pytest.mark.parametrize("c", [0.1, 0.4, 1.0, 3.0])
@over_kinds
@over_sizes
def test_the_conflict_averse_direction_is_optimal(k, kind, c):
    """d = g_0 + c |g_0| g_w / |g_w|; with its conditions of optimality, and at the ball's border."""
    for seed in range(2):
        rows = gradients_of(kind, k, seed)
        lengths = lengths_of(rows)
        a = conflict_averse(gram_of(rows), c).numpy()
        hull = min_norm(gram_of(rows)).numpy()
        if not a.any():
            # Only where no direction goes down: the hull holds 0, as far as it is resolved.
            assert c >= 1
            assert np.linalg.norm(hull @ rows) <= 10 * STATIONARY * (hull @ lengths)
            continue
        mean = rows.mean(axis=0)
        radius = c * np.linalg.norm(mean)
        step = (a - 1 / k) @ rows
        assert (a >= 1 / k - ROUNDING).all()
        w = (a - 1 / k) / (a - 1 / k).sum()
        near = np.linalg.norm(w @ rows) <= 100 * STATIONARY * (w @ lengths)
        # |g_w| has the relative rounding of its square; where it nearly vanishes, little of it is left.
        tolerance = 1e-2 if near else 1e-9
        np.testing.assert_allclose(np.linalg.norm(step), radius, rtol=tolerance)
        gains = rows @ (mean + step) / lengths  # of d, the same for each loss that w weighs, and more for the others
        least = (w * lengths) @ gains
        worst = (rows @ (mean + step) - w @ (rows @ (mean + step))) / lengths
        scale = np.linalg.norm(mean) + radius
        assert worst.min() >= -tolerance * scale, (least, worst)
        assert np.abs(worst[w * lengths > 1e-6 * (w @ lengths)]).max() <= tolerance * scale


@pytest.mark.parametrize("seed", range(3))
def test_the_conflict_averse_direction_is_scipys(seed):
    rows = gradients_of("conflicting", 3, seed)
    gram = gram_of(rows)
    mean, c = np.full(3, 1 / 3), 0.5
    length = c * np.sqrt(mean @ gram @ mean)
    found = scipy.optimize.minimize(
        lambda w: w @ gram @ mean + length * np.sqrt(w @ gram @ w),
        mean,
        method="SLSQP",
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    w = conflict_averse(gram, c).numpy() - 1 / 3
    ours = w / w.sum()
    value = ours @ gram @ mean + length * np.sqrt(ours @ gram @ ours)
    assert value <= found.fun + 1e-12
    np.testing.assert_allclose(ours, found.x, atol=1e-5)  # SLSQP's steps end where the value is flat


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 2.0, 5.0])
@over_kinds
@over_sizes
def test_fair_weights_solve_their_equations(k, kind, alpha):
    for seed in range(2):
        rows = gradients_of(kind, k, seed)
        gram = gram_of(rows)
        a = fair(gram, alpha).numpy()
        if not a.any():
            hull = min_norm(gram).numpy()
            assert np.linalg.norm(hull @ rows) <= STATIONARY * (hull @ lengths_of(rows))
            continue
        assert (a > 0).all()
        aims = a ** (-1 / alpha)
        # The stopping rule: 8 K eps of the terms.
        assert (np.abs(gram @ a - aims) <= 16 * k * 2.0**-52 * (np.abs(gram) @ a + aims)).all()


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fair_weights_are_scipys(alpha):
    rows = gradients_of("random", 5)
    gram = gram_of(rows)
    found = scipy.optimize.root(lambda u: u / alpha + np.log(gram @ np.exp(u)), -np.log(np.diag(gram)) / 2, tol=1e-13)
    assert found.success
    np.testing.assert_allclose(fair(gram, alpha), np.exp(found.x), rtol=1e-11)


@over_sizes
def test_nash_weights_have_the_length_and_do_not_depend_on_units(k):
    rows = gradients_of("random", k)
    a = fair(gram_of(rows), 1.0).numpy()
    np.testing.assert_allclose(a @ gram_of(rows) @ a, k, rtol=1e-12)
    units = 10.0 ** np.linspace(-7, 7, k)
    np.testing.assert_allclose(fair(gram_of(rows * units[:, None]), 1.0).numpy() * units, a, rtol=1e-12)


@over_kinds
@over_sizes
def test_the_dual_cone_has_no_conflict(k, kind):
    rows = gradients_of(kind, k)
    lengths = lengths_of(rows)
    preference = np.random.default_rng(k).uniform(0.1, 1, k)
    a = dual_cone(gram_of(rows), preference).numpy()
    assert (a >= preference * (1 - ROUNDING)).all()
    assert (rows @ (a @ rows) >= -10 * ROUNDING * (a @ lengths) * lengths).all()


@over_sizes
def test_the_dual_cone_is_scipys(k):
    rows = gradients_of("conflicting", k)
    for i in range(min(k, 3)):
        preference = np.eye(k)[i]
        a = dual_cone(gram_of(rows), preference).numpy()
        z, residual = scipy.optimize.nnls(rows.T, -rows[i])  # the least |g_i + G'z| over z >= 0
        # Near 0, |g_i + G'z| has half the digits of its square.
        np.testing.assert_allclose(np.linalg.norm(a @ rows), residual, rtol=1e-9, atol=1e-9 * lengths_of(rows)[i])
        np.testing.assert_allclose(a @ rows, rows[i] + z @ rows, atol=1e-8 * lengths_of(rows).max())


# Closed forms


@over_solvers
def test_one_loss(name):
    rows = np.array([[3.0, 4.0]])
    expected = {
        "cagrad-0.4": 1.4,
        "cagrad-2": 3.0,
        "nash": 1 / 5,
        "fair-0.5": 5 ** (-2 / 3),
        "fair-2": 5 ** (-4 / 3),
    }.get(name, 1.0)
    np.testing.assert_allclose(SOLVERS[name](gram_of(rows)), [expected], rtol=1e-14)


@settings(deadline=None, max_examples=100)
@given(
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
    st.floats(-0.99, 0.99),
)
def test_two_losses(first, second, cosine):
    gram = np.array([[first**2, first * second * cosine], [first * second * cosine, second**2]])
    rest = second**2 - gram[0, 1]
    share = np.clip(rest / (first**2 + second**2 - 2 * gram[0, 1]), 0, 1)
    np.testing.assert_allclose(min_norm(gram), [share, 1 - share], rtol=1e-10, atol=1e-12)
    bargain = 1 / np.sqrt(1 + cosine)
    np.testing.assert_allclose(fair(gram, 1.0), [bargain / first, bargain / second], rtol=1e-11)
    turned = np.maximum(-gram[0, 1] / np.diag(gram), 0)
    np.testing.assert_allclose(dual_cone(gram, [1.0, 1.0]), 1 + turned, rtol=1e-12)


# Properties


@over_solvers
@over_kinds
def test_the_direction_does_not_depend_on_the_order(name, kind):
    """The coefficients may, where several give the direction."""
    rows, order = gradients_of(kind, 5), np.array([3, 0, 4, 1, 2])
    a, b = SOLVERS[name](gram_of(rows)).numpy(), SOLVERS[name](gram_of(rows[order])).numpy()
    lengths = lengths_of(rows)
    # Half the digits, where the direction nearly vanishes and its length alone decides.
    atol = 3 * STATIONARY * max(a @ lengths, b @ lengths[order])
    np.testing.assert_allclose(a @ rows, b @ rows[order], rtol=1e-8, atol=atol)
    if kind in ("random", "conflicting"):
        np.testing.assert_allclose(b, a[order], rtol=1e-9, atol=1e-12)


@over_solvers
@pytest.mark.parametrize("scale", [1e-100, 1e-12, 1e100], ids=str)
def test_scale(name, scale):
    rows = gradients_of("random", 5)
    power = {"nash": -1, "fair-0.5": -2 / 3, "fair-2": -4 / 3}.get(name, 0)
    a, b = (SOLVERS[name](gram_of(given)).numpy() for given in (rows, scale * rows))
    np.testing.assert_allclose(b, a * scale**power, rtol=1e-11)


STATIONARY_POINTS = {
    "opposite": [[1.0, 0], [-2, 0]],
    "triangle": [[1.0, 0], [0, 1], [-1, -1]],
    "four": [[1.0, 2], [-1, -2], [3, -1], [-3, 1]],
}


@pytest.mark.parametrize("rows", STATIONARY_POINTS.values(), ids=STATIONARY_POINTS)
@pytest.mark.parametrize("name", ["min-norm", "cagrad-2", "nash", "fair-0.5", "fair-2", "dual-cone"])
def test_nothing_moves_at_a_stationary_point(name, rows):
    rows = np.array(rows)
    a = SOLVERS[name](gram_of(rows)).numpy()
    assert np.isfinite(a).all()
    assert np.linalg.norm(a @ rows) <= STATIONARY * (a @ lengths_of(rows))


@over_solvers
@over_sizes
def test_no_gradients_at_all(name, k):
    a = SOLVERS[name](np.zeros((k, k))).numpy()
    assert np.isfinite(a).all()
    expected = 0.0 if name.startswith(("nash", "fair", "cagrad")) else 1 / k
    np.testing.assert_allclose(a, np.full(k, expected), rtol=1e-15)


@over_solvers
def test_a_zero_gradient_leaves_the_others(name):
    rows = gradients_of("random", 4)
    rows[2] = 0
    a = SOLVERS[name](gram_of(rows)).numpy()
    assert np.isfinite(a).all()
    if name == "min-norm":
        np.testing.assert_array_equal(a, [0, 0, 1, 0])
    elif name in ("nash", "fair-0.5", "fair-2"):
        assert a[2] == 0
        np.testing.assert_allclose(a[[0, 1, 3]], SOLVERS[name](gram_of(rows[[0, 1, 3]])), rtol=1e-12)


@over_solvers
@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
@over_sizes
def test_infinity_and_nan_give_nan(name, bad, k):
    gram = gram_of(gradients_of("random", k))
    gram[0, k // 2] = bad
    assert np.isnan(SOLVERS[name](gram)).all()


@functools.cache
def compiled(name, jit_compile):
    """One function for problems of every kind: those of the same size share a program."""
    return tf.function(SOLVERS[name], jit_compile=jit_compile)


@pytest.mark.parametrize("k", [1, 2, 5, 40])
@pytest.mark.parametrize("kind", ["random", "dependent", "scaled"])
@over_solvers
def test_every_regime(name, k, kind):
    rows = gradients_of(kind, k)
    gram = tf.constant(gram_of(rows))
    lengths = lengths_of(rows)
    eager = SOLVERS[name](gram).numpy()
    for jit_compile in (False, True):
        found = compiled(name, jit_compile)(gram).numpy()
        # Another order of sums; where the problem has several solutions, it may choose another.
        atol = 3 * STATIONARY * max(found @ lengths, eager @ lengths)
        np.testing.assert_allclose(found @ rows, eager @ rows, rtol=1e-8, atol=atol)
        if kind == "random":
            np.testing.assert_allclose(found, eager, rtol=1e-10, atol=1e-12)
