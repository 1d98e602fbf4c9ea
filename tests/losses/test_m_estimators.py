"""The sets of losses for score matching: their efficiencies at chosen laws, by quadrature and the library's solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss._solvers.least_variance import least_variance

R = np.exp(np.linspace(np.log(1e-6), np.log(1e6), 8001))
CELL = R * np.log(R[1] / R[0])
TO_DEVIATIONS = 1.4826022185


def normal(r, width=1.0):
    return np.exp(-0.5 * (r / width) ** 2) / (width * np.sqrt(2 * np.pi))


def mixture(share, width):
    wide, narrow = share * normal(R, width), (1 - share) * normal(R)
    return narrow + wide, (narrow * R + wide * R / width**2) / np.maximum(narrow + wide, 1e-300)


#: p and -p'/p at R, and Fisher's information where it has a closed form.
LAWS = {
    "normal": (normal(R), R, 1),
    "t(3)": (2 / (np.pi * np.sqrt(3) * (1 + R**2 / 3) ** 2), 4 * R / (3 + R**2), 2 / 3),
    "Cauchy": (1 / (np.pi * (1 + R**2)), 2 * R / (1 + R**2), 1 / 2),
    "Laplace": (0.5 * np.exp(-R), np.ones_like(R), 1),
    "1 % x 10": (*mixture(0.01, 10), None),
    "10 % x 10": (*mixture(0.1, 10), None),
    "40 % x 10": (*mixture(0.4, 10), None),
}


def efficiency(law, losses):
    """The precision of the best blend over Fisher's information, E psi' by parts."""
    density, score, known = LAWS[law]
    mass = 2 * density * CELL
    information = mass @ score**2
    if known is not None:
        np.testing.assert_allclose([mass.sum(), information], [1, known], rtol=2e-6)
    scale = TO_DEVIATIONS * np.interp(0.5, np.cumsum(mass) - mass / 2, R)
    psi = np.stack([penalty.slope(tf.constant(R / scale)).numpy() for penalty in losses.values()], axis=1)
    second, curvature = (psi * mass[:, np.newaxis]).T @ psi, psi.T @ (mass * score)
    return 1 / (
        float(least_variance(tf.constant(second[None]), tf.constant(curvature[None])).variance[0]) * information
    )


@pytest.mark.parametrize(
    ("law", "default", "convex"),
    [
        ("normal", 1.0, 1.0),
        ("t(3)", 0.9984, 0.9882),
        ("Cauchy", 0.9980, 0.8777),
        ("Laplace", 1.0, 1.0),
        ("1 % x 10", 0.9631, 0.9685),
        ("10 % x 10", 0.9880, 0.8409),
        ("40 % x 10", 0.9837, 0.6449),
    ],
)
def test_efficiencies(law, default, convex):
    found = efficiency(law, bl.losses.m_estimators()), efficiency(law, bl.losses.m_estimators(convex=True))
    assert found == pytest.approx((default, convex), abs=1e-4)


@pytest.mark.parametrize("convex", [False, True])
def test_every_loss_is_needed(convex):
    losses = bl.losses.m_estimators(convex=convex)
    whole = {law: efficiency(law, losses) for law in LAWS}
    for name in losses:
        rest = {other: penalty for other, penalty in losses.items() if other != name}
        assert max(whole[law] - efficiency(law, rest) for law in LAWS) > 1e-3, name


def test_convex_losses_are_convex():
    r = tf.constant(np.linspace(-10, 10, 2001))
    for name, penalty in bl.losses.m_estimators(convex=True).items():
        assert np.diff(penalty.slope(r).numpy()).min() >= 0, name


def test_names_do_not_change_with_the_call():
    one, other = bl.losses.m_estimators(), bl.losses.m_estimators()
    assert list(one) == list(other) == ["squared", "absolute", "huber", "cauchy_0.5", "tukey_2.5", "tukey"]
    assert all(one[name].get_config() == other[name].get_config() for name in one)
    assert not set(map(id, one.values())) & set(map(id, other.values()))


def test_thresholds_are_solved_for_once(monkeypatch):
    before: Any = bl.losses.m_estimators()
    monkeypatch.setattr(bl.losses.Penalty, "tuned", lambda *_: pytest.fail("solved for again"))
    assert bl.losses.m_estimators() == before
    assert (before["huber"].delta, before["tukey"].scale) == pytest.approx((1.345, 4.685), abs=1e-3)


def test_the_choice_is_a_bool():
    with pytest.raises(TypeError, match="`convex`"):
        bl.losses.m_estimators(convex=1)
