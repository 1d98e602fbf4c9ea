"""Efficiencies and tuning constants against the published ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blendloss import losses

TUNED = [  # (id, class, other arguments, constant at 95 %, digits known)
    ("huber", losses.Huber, {}, 1.345, 5e-5),
    ("tukey", losses.Tukey, {}, 4.6851, 6e-5),
    ("cauchy", losses.Cauchy, {}, 2.3849, 6e-5),
    ("welsch", losses.Welsch, {}, 2.9846, 6e-5),
    ("fair", losses.Fair, {}, 1.3998, 6e-5),
    ("log-cosh", losses.LogCosh, {}, 1.20471, 6e-6),
    ("pseudo-huber", losses.PseudoHuber, {}, 1.28710, 6e-6),
    ("geman-mcclure", losses.GemanMcClure, {}, 2 * 1.89371, 1.2e-5),
    ("barron-1", losses.Barron, {"alpha": 1.0}, 1.28710, 6e-6),
    ("barron-0", losses.Barron, {"alpha": 0.0}, 1.68641, 6e-6),
    ("barron-minus-2", losses.Barron, {"alpha": -2.0}, 1.89371, 6e-6),
]


@pytest.mark.parametrize(("cls", "others", "constant", "digits"), [r[1:] for r in TUNED], ids=[r[0] for r in TUNED])
def test_published_constants_at_95_percent(cls, others, constant, digits):
    tuned = cls.tuned(0.95, **others)
    assert getattr(tuned, cls.tuned_argument) == pytest.approx(constant, abs=digits)
    assert tuned.efficiency() == pytest.approx(0.95, abs=1e-9)


@pytest.mark.parametrize(("delta", "efficiency"), [(1.0, 0.90312), (1.4, 0.95548), (1.5, 0.96424), (2.0, 0.98972)])
def test_huber_efficiencies(delta, efficiency):
    assert losses.Huber(delta).efficiency() == pytest.approx(efficiency, abs=6e-6)


def test_huber_efficiency_is_its_closed_form():
    def cdf(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    for k in (0.3, 1.0, 1.345, 2.5):
        density = math.exp(-k * k / 2) / math.sqrt(2 * math.pi)
        inside = 2 * cdf(k) - 1
        square = inside - 2 * k * density + 2 * k * k * cdf(-k)
        assert losses.Huber(k).efficiency() == pytest.approx(inside**2 / square, abs=1e-7)


def test_least_squares_is_efficient_and_the_median_two_over_pi():
    assert losses.SquaredError(3.0).efficiency() == pytest.approx(1.0, abs=1e-12)
    assert losses.AbsoluteError(3.0).efficiency() == pytest.approx(2 / math.pi, abs=1e-7)
    assert losses.Quantile(0.5).efficiency() == pytest.approx(2 / math.pi, abs=1e-7)


def test_an_asymmetric_quantile_has_no_efficiency_of_location():
    with pytest.raises(ValueError, match="`quantile` must be 0.5"):
        losses.Quantile(0.7).efficiency()


def test_epsilon_insensitive_rises_and_falls():
    efficiencies = [losses.EpsilonInsensitive(e).efficiency() for e in (0.0, 0.6, 2.0)]
    assert efficiencies[0] < 0.64 < 0.8 < efficiencies[1] < 0.82
    assert efficiencies[2] < efficiencies[1]
    tuned = losses.EpsilonInsensitive.tuned(0.75)
    assert tuned.epsilon > 0.6
    assert tuned.efficiency() == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize("efficiency", [0.6, 0.85, 0.99])
def test_any_efficiency_can_be_asked_for(efficiency):
    for cls in (losses.Welsch, losses.Tukey):
        assert cls.tuned(efficiency).efficiency() == pytest.approx(efficiency, abs=1e-9)


def test_an_efficiency_out_of_reach_names_the_range():
    with pytest.raises(ValueError, match=r"must lie between .* and 0.8\d* for EpsilonInsensitive. Received: .*0.95"):
        losses.EpsilonInsensitive.tuned(0.95)
    with pytest.raises(ValueError, match="for Huber. Received: efficiency=0.5"):
        losses.Huber.tuned(0.5)


@pytest.mark.parametrize("efficiency", [0.0, 1.0, -1.0, 2.0, math.nan])
def test_efficiency_is_checked(efficiency):
    with pytest.raises(ValueError, match="`efficiency` must"):
        losses.Huber.tuned(efficiency)


@pytest.mark.parametrize("cls", [losses.SquaredError, losses.AbsoluteError, losses.Quantile])
def test_penalties_without_a_constant_cannot_be_tuned(cls):
    with pytest.raises(ValueError, match=f"{cls.__name__}'s efficiency does not depend on its arguments"):
        cls.tuned(0.95)


def test_a_penalty_whose_square_overflows_has_no_efficiency():
    assert losses.Barron(math.inf, 0.1).efficiency() == 0.0
    assert np.isfinite(losses.Barron(math.inf, 2.0).efficiency())
