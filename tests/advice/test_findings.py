"""What the comparison of losses says: findings about the data, advice, code and pictures."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

import blendloss as bl
from tests.advice.comparisons import STUDENT, TWO, USUAL, between_normal_and_laplace, compared, draw, spread

# Findings


def test_symmetric_even_noise_is_seldom_called_anything_else():
    samples = 30
    wrong = np.zeros(3)
    for seed in range(samples):
        x = np.random.default_rng(seed).uniform(size=600)
        found = compared(None, y_true=x - draw(stats.norm(), 600, seed + 99), y_pred=x, seed=seed)
        wrong += [found.findings[name].found for name in ("tails", "symmetry", "scale")]
    assert (wrong <= stats.binom.ppf(1 - 1e-4, samples, 0.02)).all(), wrong


def test_asymmetric_noise_is_found():
    found = compared(draw(stats.expon(), 2000, 0))
    assert found.findings["symmetry"].found
    # Of exponential residuals the mean is the largest of all locations.
    assert "squared the highest" in found.findings["symmetry"].text
    assert found.advice.startswith("First choose what to predict")


def test_asymmetry_that_is_certain_but_tiny_does_not_change_the_advice():
    losses = {"huber": USUAL["huber"], "squared": USUAL["squared"]}
    x = spread(stats.norm, 200_001)
    found = compared(x + 0.004 * (x**2 - 1), losses)
    assert not found.findings["symmetry"].found
    assert "negligible" in found.findings["symmetry"].text


@pytest.mark.parametrize("shape", ["rising", "in the middle"])
def test_uneven_noise_is_found(shape):
    random = np.random.default_rng(0)
    x = random.uniform(size=1500)
    scale = 0.5 + 2 * x if shape == "rising" else 2.5 - 4 * np.abs(x - 0.5)
    found = compared(scale * random.normal(size=1500), y_pred=x)
    assert found.findings["scale"].found
    assert "weights of the examples, 1 / scale^2, are worth about" in found.advice


def test_the_gain_of_weighting_is_the_closed_form():
    random = np.random.default_rng(0)
    x = np.repeat([1.0, 3.0], 20_000)
    found = compared(x * random.normal(size=40_000), y_pred=x)
    gain = (1 + 9) / 2 * (1 + 1 / 9) / 2 - 1  # E s^2 E s^-2 - 1 = 1.78
    said = re.search(r"worth about (\d+)% more examples", found.findings["scale"].text)
    assert said is not None
    assert int(said[1]) / 100 == pytest.approx(gain, rel=0.05)


def test_without_predictions_nothing_is_said_of_the_scale():
    assert "scale" not in compared(draw(STUDENT, 100, 0)).findings


@pytest.mark.parametrize("law", [(STUDENT, "heavier"), (stats.uniform(-1, 2), "lighter")], ids=["t(3)", "uniform"])
def test_tails(law):
    found = compared(draw(law[0], 5000, 0)).findings["tails"]
    assert found.found
    assert law[1] in found.text


def test_shifts_and_ties_are_reported():
    shifted = compared(draw(stats.norm(), 500, 0) + 5)
    assert "shifted" in shifted.findings["rows"].text
    assert shifted.location == pytest.approx(5, abs=0.2)
    tied = compared(np.where(np.arange(500) % 5 == 0, 0.25, draw(stats.norm(), 500, 0)))
    assert "20% of them are 0.25" in tied.findings["rows"].text


# Text, code and pictures


class Quartic(bl.losses.Penalty):
    def _value_and_slope(self, residual):
        return residual**4, 4 * residual**3

    def get_config(self):
        return {}


@pytest.mark.parametrize(
    ("residuals", "losses"),
    [
        (draw(stats.norm(), 500, 0), None),
        (10 * draw(stats.cauchy(), 500, 0), None),
        (between_normal_and_laplace(20_000), TWO),
        (draw(stats.uniform(), 500, 0), {"quartic": Quartic(), **TWO}),
        (draw(stats.laplace(), 500, 0), {"barron": bl.losses.Barron(0.5, 0.3)}),
        (draw(stats.laplace(), 500, 0), {"quantile": bl.losses.Quantile(0.4)}),
    ],
    ids=["squared", "scaled", "blend", "a penalty of one's own", "two arguments", "quantile"],
)  # fmt: skip
def test_code_runs(residuals, losses):
    found = bl.compare_losses(residuals, losses=losses, resamples=100)
    names = {"losses": losses}
    exec(found.code, names)
    zeros, ones = np.zeros((4, 1)), np.ones((4, 1))
    value = names["loss"](zeros, ones) if "loss" in names else names["blend"](zeros, ones, step=0)
    assert np.isfinite(value).all()
    if "loss" in names:  # a multiple of the loss that was compared, in the residuals' own unit
        compared_with = (losses or USUAL)[found.best_single]
        r = np.linspace(-3, 3, 7) * found.scale
        theirs, ours = (np.asarray(one) for one in (compared_with.slope(r / found.scale), names["loss"].slope(r)))
        np.testing.assert_allclose(ours / ours[-1], theirs / theirs[-1], rtol=2e-3, atol=1e-9)


def test_the_text_holds_everything():
    found = compared(draw(STUDENT, 300, 0), y_pred=np.arange(300))
    shown = str(found)
    for part in (*USUAL, "best blend", "95% interval", "Tails", "Symmetry", "Scale", "Rows", *found.code.splitlines()):
        assert part in shown
    assert " ".join(found.advice.split()) in " ".join(shown.split())


def test_advice_says_when_the_data_do_not_tell():
    found = compared(draw(stats.norm(), 40, 0))
    assert "the data cannot tell it from" in found.advice


def test_picture(tmp_path):
    found = compared(draw(STUDENT, 500, 0), {"$a_b$": bl.losses.Huber(), "b": bl.losses.Cauchy()})
    found.plot(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    found.plot(str(tmp_path / "picture.svg"))
    assert "$a_b$" in (tmp_path / "picture.svg").read_text() or (tmp_path / "picture.svg").stat().st_size > 10_000


def test_the_score_of_normal_noise_is_a_line():
    score = compared(spread(stats.norm, 20_001)).score
    middle = np.abs(score.u) < 1.5
    # A kernel of width h estimates the score of a law of variance 1 + h^2.
    width = 0.9 * 20_001 ** (-1 / 7)
    np.testing.assert_allclose(score.score[middle], score.u[middle] / (1 + width**2), atol=0.01)
    assert ((score.low <= score.score) & (score.score <= score.high))[middle].all()
    np.testing.assert_allclose(score.blend[middle], score.u[middle], atol=0.01)
    assert np.isnan(score.score).any()  # too few residuals at the ends
