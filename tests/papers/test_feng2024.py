"""The arithmetic of the paper on score matching: slopes, laws, the projection, and the estimate of location."""

from __future__ import annotations

import numpy as np
import pytest

import blendloss as bl
from papers.feng2024_score_matching.config import CONVEX, DEFAULT
from papers.feng2024_score_matching.expected import cauchy_efficiency
from papers.feng2024_score_matching.laws import LAWS, law
from papers.feng2024_score_matching.location import squared_errors
from papers.feng2024_score_matching.penalties import KINDS, penalty, slopes
from papers.feng2024_score_matching.program import efficiency
from papers.feng2024_score_matching.projection import convex_information, majorant_information


@pytest.mark.parametrize(
    "name", ["squared", "absolute", "huber", "cauchy", "tukey", *(f"{kind}_1.5" for kind in KINDS)]
)
def test_slopes_are_the_librarys(name):
    u = np.linspace(-9, 9, 1001)
    np.testing.assert_allclose(slopes([name], u)[:, 0], penalty(name).slope(u).numpy(), rtol=1e-12, atol=1e-15)


def test_the_convex_set_is_the_librarys():
    losses = bl.losses.m_estimators(convex=True)
    assert set(losses) == set(CONVEX)
    assert all(losses[name].get_config() == penalty(name).get_config() for name in CONVEX)


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_normalized_and_no_set_is_better_than_its_bound(name):
    noise = law(name, 4000)
    assert noise.mass.sum() == pytest.approx(1, abs=1e-5)
    # E r score = 1 by parts.
    assert noise.mass @ (noise.r * noise.score) == pytest.approx(1, abs=1e-4)
    convex = convex_information(noise)
    assert majorant_information(noise) == pytest.approx(convex, rel=1e-3)
    assert efficiency(noise, CONVEX) * noise.information <= convex * (1 + 1e-6)
    assert efficiency(noise, DEFAULT) <= 1 + 1e-6


def test_the_closed_form_at_cauchy_noise():
    noise = law("t(1)", 4000)
    assert convex_information(noise) / noise.information == pytest.approx(cauchy_efficiency(), abs=2e-5)


def test_the_estimate_by_one_loss_has_its_variance():
    noise = law("normal", 1000)
    found = squared_errors(noise, {"mean": ["squared"], "median": ["absolute"]}, 200, 2000, 0)
    # 2000 squares tell their mean to 3 %; both estimates are those of the same samples.
    assert found["mean"] == pytest.approx(1, abs=0.1)
    assert found["median"] == pytest.approx(np.pi / 2, abs=0.16)
