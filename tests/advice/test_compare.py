"""What the comparison of losses finds, against closed forms, quadrature and binomial bounds."""

from __future__ import annotations

import functools
import math

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import integrate, stats

import blendloss as bl
from tests.advice.comparisons import QUARTILE, STUDENT, TWO, USUAL, between_normal_and_laplace, compared, draw, spread

# Closed forms


def test_normal_noise():
    found = compared(3 * spread(stats.norm) + 1)
    values = {name: one.value for name, one in found.efficiencies.items()}
    assert values["squared"] == pytest.approx(1, abs=1e-4)
    assert values["absolute"] == pytest.approx(2 / math.pi, abs=2e-3)
    for name in ("huber", "tukey"):
        assert values[name] == pytest.approx(0.95, abs=1e-3)
    assert (found.best_single, found.code.splitlines()[2]) == ("squared", "loss = bl.losses.SquaredError()")
    assert found.location == pytest.approx(1, abs=1e-3)
    assert found.scale == pytest.approx(3, rel=1e-3)
    assert found.weights["squared"] > 0.99
    assert sum(found.weights.values()) == pytest.approx(1)


def test_laplace_noise():
    found = compared(spread(stats.laplace))
    value, n = found.efficiencies, found.rows
    # The mean density over u - h ... u + h is that of the kink less h / 2, in units of Laplace's scale.
    width = 0.75 * n ** (-1 / 3) * found.scale
    shrunk = ((1 - math.exp(-width)) / width) ** 2
    assert value["squared"].value / value["absolute"].value * shrunk == pytest.approx(0.5, abs=2e-3)
    assert shrunk <= value["absolute"].value <= 1  # the blend is between what is seen of the median and the bound
    assert value["squared"].value == pytest.approx(0.5, abs=0.015)
    assert found.code.splitlines()[2] == "loss = bl.losses.AbsoluteError()"


def test_cauchy_noise():
    losses = {"likelihood": bl.losses.Cauchy(QUARTILE), **TWO}  # the unit is 1 / QUARTILE of Cauchy's scale
    found = compared(5 * spread(stats.cauchy), losses)
    assert found.efficiencies["likelihood"].value == pytest.approx(1, abs=2e-3)
    assert found.efficiencies["absolute"].value == pytest.approx(8 / math.pi**2, abs=5e-3)
    assert "bl.losses.Cauchy(scale=5.0" in found.code or "bl.losses.Cauchy(scale=4.99" in found.code


def test_a_blend_that_is_better_than_each_loss():
    found = compared(between_normal_and_laplace(50_000), TWO)
    # In units of c: A and b of u and sign(u) follow from the moments of |x|; psi = c^2 u + c sign(u) is the score.
    half = [integrate.quad(lambda x, k=k: x**k * math.exp(-x - x * x / 2), 0, math.inf)[0] for k in range(3)]
    p0, first, second = (one / (2 * half[0]) for one in (1, 2 * half[1], 2 * half[2]))
    information = second + 2 * first + 1
    assert found.efficiencies["squared"].value == pytest.approx(1 / (second * information), abs=0.03)
    assert found.efficiencies["absolute"].value == pytest.approx((2 * p0) ** 2 / information, abs=0.06)
    assert found.weights["squared"] == pytest.approx(1 / (1 + 2 * p0), abs=0.05)
    assert found.advice.startswith("Use the blend: the best single loss, absolute, needs ")
    assert "95% interval" in found.advice


# Intervals


def moments_by_quadrature(law, scale):
    """A and b of the usual losses for residuals in units of `scale`; b = -E psi p'/p is right for jumps, too."""
    x, weights = np.polynomial.legendre.leggauss(200)
    cells = np.concatenate([np.linspace(0, 8, 161), np.geomspace(8, 1e5, 200)[1:]])
    u = ((cells[1:] - cells[:-1]) / 2)[:, None] * (x + 1) + cells[:-1, None]
    p = (((cells[1:] - cells[:-1]) / 2)[:, None] * weights * law.pdf(u * scale) * scale).ravel()
    u = u.ravel()
    step = 1e-5
    score = -(law.logpdf((u + step) * scale) - law.logpdf((u - step) * scale)) / (2 * step)
    psi = np.stack([loss.slope(tf.constant(u)).numpy() for loss in USUAL.values()])
    return 2 * (psi * p) @ psi.T, 2 * psi @ (p * score)


@functools.cache
def true_efficiencies(law):
    from blendloss._solvers.least_variance import least_variance

    second, curvature = moments_by_quadrature(law, law.ppf(0.75) / QUARTILE)
    found = least_variance(tf.constant(second[None]), tf.constant(curvature[None]))
    return (found.variance[0] / found.variances[0]).numpy()


def test_true_efficiencies_are_those_of_closed_forms():
    normal = dict(zip(USUAL, true_efficiencies(stats.norm()), strict=True))
    assert normal["absolute"] == pytest.approx(2 / math.pi, abs=1e-4)
    assert normal["huber"] == pytest.approx(0.95, abs=1e-4)
    student = dict(zip(USUAL, true_efficiencies(STUDENT), strict=True))
    # Fisher's information of t(3) is 2/3 and its variance 3; the blend of seven comes near to that information.
    assert student["squared"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("law", [stats.norm(), STUDENT], ids=["normal", "t(3)"])
def test_intervals_hold_the_truth_as_often_as_they_say(law):
    samples, n, level = 50, 1000, 0.9
    truth = true_efficiencies(law)
    held = np.zeros(len(truth))
    for seed in range(samples):
        found = compared(draw(law, n, seed), level=level, seed=seed)
        held += [
            one.low <= true + 1e-9 and true - 1e-9 <= one.high
            for one, true in zip(found.efficiencies.values(), truth, strict=True)
        ]
    # 0.85, for an interval of the bootstrap is exact only as n grows; 1e-3 by chance, over seven losses.
    assert (held >= stats.binom.ppf(1e-3 / 7, samples, 0.85)).all(), held / samples


def test_intervals_narrow_as_residuals_are_more():
    few, many = (compared(draw(STUDENT, n, 1)).efficiencies["cauchy_0.5"] for n in (500, 50_000))
    assert many.high - many.low < (few.high - few.low) / 2


def test_only_losses_that_may_be_the_best_blend_reach_one():
    found = compared(draw(stats.norm(), 5000, 2)).efficiencies
    assert found["squared"].high == 1
    assert all(one.high < 1 for name, one in found.items() if name != "squared")


def test_rows_that_belong_together_widen_intervals():
    once = draw(STUDENT, 300, 3)
    copies = np.repeat(once, 10)
    label = np.repeat([f"patient {i:03}" for i in range(300)], 10)
    losses = {name: USUAL[name] for name in ("squared", "huber", "cauchy_0.5")}  # without jumps, which see the ties
    alone, grouped, blocks = (compared(copies, losses, **named) for named in ({}, {"groups": label}, {"block": 10}))
    for name in losses:
        narrow, wide = (one.efficiencies[name].high - one.efficiencies[name].low for one in (alone, grouped))
        if narrow < 1e-9:
            continue
        assert wide > 1.5 * narrow, name
        assert grouped.efficiencies[name].value == pytest.approx(alone.efficiencies[name].value)
    assert blocks.efficiencies == grouped.efficiencies
    assert "300 groups are resampled" in grouped.findings["rows"].text


def test_few_groups_are_reported():
    found = compared(draw(STUDENT, 200, 0), groups=np.arange(200) % 12)
    assert "12 groups are resampled, too few" in found.findings["rows"].text


# What must not matter


def test_units_shift_and_sign_do_not_matter():
    x = draw(STUDENT, 400, 0)
    first = compared(x)
    for other in (1e-12 * x, 1e30 * x, 3 * x + 2, -x):
        values = [one.value for one in compared(other).efficiencies.values()]
        np.testing.assert_allclose(values, [one.value for one in first.efficiencies.values()], rtol=1e-5)


def test_weights():
    x = draw(STUDENT, 400, 0)
    some = np.arange(400) % 4 > 0
    same = (
        compared(x[some]),
        compared(x, sample_weight=some.astype(int)),
        compared(x[some], sample_weight=np.full(300, 7.0)),
    )
    value = [[one.value for one in found.efficiencies.values()] for found in same]
    np.testing.assert_allclose(value[1:], [value[0]] * 2, rtol=1e-9)
    random = np.random.default_rng(0).uniform(0.1, 3, 400)
    assert not np.allclose(value[0], [one.value for one in compared(x, sample_weight=random).efficiencies.values()])


def test_the_seed_decides():
    x = draw(STUDENT, 1500, 0)
    first, same, other = (compared(x, seed=seed).efficiencies for seed in (0, 0, 1))
    assert first == same != other


@pytest.mark.parametrize(
    "of",
    [
        list,
        lambda x: x[:, None],
        pd.Series,
        tf.constant,
        lambda x: tf.Variable(x),
        lambda x: x.astype(object).astype(float),
    ],
    ids=["list", "matrix of one column", "series", "tensor", "variable", "float copy"],
)
def test_arrays_of_any_kind(of):
    x = draw(STUDENT, 60, 0)
    assert compared(of(x)).efficiencies == compared(x).efficiencies


def test_arrays_of_torch():
    torch = pytest.importorskip("torch")
    x = draw(STUDENT, 60, 0)
    assert compared(torch.tensor(x)).efficiencies == compared(x).efficiencies
    assert compared(None, y_true=torch.zeros(60), y_pred=torch.tensor(x)[:, None]).rows == 60


def test_integers_and_outliers_are_residuals():
    assert compared(np.random.default_rng(0).integers(-9, 10, 300)).rows == 300
    assert compared(np.append(draw(stats.norm(), 300, 0), 1e50)).efficiencies["squared"].value < 1e-6


# Mistakes


GOOD = np.arange(50.0)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({}, "`residuals`, or `y_true` and `y_pred`, must be given"),
        ({"y_true": GOOD}, "must be given. Received: `y_true`"),
        ({"residuals": GOOD, "y_true": GOOD}, "Received: `residuals`, `y_true`"),
        ({"residuals": np.where(GOOD == 7, np.nan, GOOD)}, "in 1 of 50 rows (first: row 8)"),
        ({"residuals": np.where(GOOD == 7, np.inf, GOOD)}, "`residuals` must be finite"),
        ({"residuals": ["a"] * 50}, "`residuals` must be real numbers. Received: 'a'"),
        ({"residuals": [None, *GOOD]}, "`residuals` must be real numbers. Received: None"),
        pytest.param({"residuals": 1j * GOOD}, "`residuals` must be real numbers", id="complex residuals"),
        pytest.param({"residuals": GOOD > 2}, "`residuals` must be real numbers", id="boolean residuals"),
        ({"residuals": np.ma.array(GOOD, mask=GOOD > 3)}, "mask"),
        ({"residuals": np.zeros([50, 2])}, "must be one column"),
        ({"residuals": np.full(50, 3.5)}, "Received: 3.5 in 100% of the weight"),
        ({"residuals": np.where(GOOD < 30, 0, GOOD)}, "Received: 0 in 60% of the weight"),
        ({"residuals": GOOD[:19]}, "at least 20, of positive weight. Received: 19"),
        ({"residuals": []}, "at least 20, of positive weight. Received: 0"),
        ({"residuals": 1e160 * GOOD}, "at most 1e150 in size"),
        ({"residuals": np.append(GOOD, 1e100)}, "within 1e60 of their scale"),
        ({"residuals": 1e-200 * GOOD}, "at least 1e-150"),
        ({"residuals": GOOD, "y_pred": GOOD[1:]}, "`y_pred` must be as long as `residuals`. Received: 49 and 50 rows"),
        ({"y_true": GOOD, "y_pred": GOOD[1:]}, "`y_true` must be as long as `y_pred`"),
        ({"residuals": GOOD, "sample_weight": -GOOD}, "`sample_weight` must not be negative"),
        ({"residuals": GOOD, "sample_weight": 0 * GOOD}, "at least 20"),
        ({"residuals": GOOD, "groups": GOOD.astype(int) % 9}, "at least 10 groups to resample. Received: 9 groups"),
        ({"residuals": GOOD, "block": 10}, "`block` must give at least 10 groups to resample. Received: 5 groups"),
        ({"residuals": GOOD, "block": 2, "groups": GOOD.astype(int)}, "must not both be given"),
        ({"residuals": GOOD, "groups": GOOD}, "`groups` must be a column of integers or strings"),
        ({"residuals": GOOD, "groups": [[1], [2, 3]]}, "`groups` must be a column of integers or strings"),
        ({"residuals": GOOD, "groups": 3}, "`groups` must be a column of integers or strings"),
        ({"residuals": GOOD, "groups": [None] * 50}, "`groups` must be a column of integers or strings"),
        ({"residuals": GOOD, "losses": {}}, "`losses` must not be empty"),
        ({"residuals": GOOD, "losses": ["mse"]}, "`losses` must be penalties by name"),
        ({"residuals": GOOD, "losses": {"mse": "mse"}}, "`losses` must be penalties by name"),
        ({"residuals": GOOD, "level": 1.0}, "`level` must lie strictly between"),
        ({"residuals": GOOD, "resamples": 9}, "`resamples` must be at least 100"),
        ({"residuals": GOOD, "seed": -1}, "`seed` must be at least 0"),
        ({"residuals": GOOD, "losses": {"tukey": bl.losses.Tukey(0.001)}}, "must have a positive mean curvature"),
    ],
)  # fmt: skip
def test_mistakes(named, message):
    with pytest.raises((ValueError, TypeError)) as error:
        bl.compare_losses(**named)
    assert message in str(error.value)
    assert "Received" in str(error.value)
    assert "\n" not in str(error.value)
