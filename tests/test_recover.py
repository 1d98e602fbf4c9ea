"""The command that recovers laws, on fewer residuals."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

import blendloss as bl
from blendloss._command import recover
from blendloss._command.main import main

DENSITIES = {
    "Gaussian": stats.norm(),
    "Laplace": stats.laplace(),
    "Student-t(3)": stats.t(3),
    "Cauchy": stats.cauchy(),
}
INFORMATION = {"Gaussian": 1, "Laplace": 1, "Student-t(3)": 2 / 3, "Cauchy": 1 / 2}  # t: (n + 1) / (n + 3)
# Of the best blend in large samples, as `m_estimators` says.
BEST = {"Gaussian": 1, "Laplace": 1, "Student-t(3)": 0.998, "Cauchy": 0.998, "contaminated": 0.988}


@pytest.mark.parametrize("law", recover.LAWS, ids=lambda law: law.name)
def test_laws_are_what_they_are_called(law):
    if law.name in DENSITIES:
        theirs = DENSITIES[law.name]
        r = np.linspace(-9, 9, 50)
        np.testing.assert_allclose(law.log_density(r), theirs.logpdf(r), rtol=1e-12)
        np.testing.assert_allclose(law.entropy, theirs.entropy(), rtol=1e-7)
    total = integrate.quad(lambda r: math.exp(law.log_density(np.float64(r))), -np.inf, np.inf, limit=400)[0]
    np.testing.assert_allclose(total, 1, rtol=1e-7)
    sample = law.draw(np.random.default_rng(0), 100_000)
    nll = -law.log_density(sample)
    assert abs(nll.mean() - law.entropy) < 5 * nll.std() / math.sqrt(len(sample))  # 5 standard errors


@pytest.mark.parametrize("law", recover.LAWS, ids=lambda law: law.name)
def test_efficiencies_are_those_of_the_law(law):
    r, h = np.array([0.1, 0.7, 2.0, 6.0, 30.0]), 1e-5
    np.testing.assert_allclose(
        law.score(r), (law.log_density(r - h) - law.log_density(r + h)) / (2 * h), rtol=1e-6, atol=1e-9
    )
    assert law.expectation(np.ones_like(recover._R)) == pytest.approx(1, abs=1e-8)
    if law.name in INFORMATION:
        assert law.expectation(law.score(recover._R) ** 2) == pytest.approx(INFORMATION[law.name], rel=1e-7)
    assert law.efficiency(law.score) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "slope", "efficiency"),
    [
        ("Gaussian", np.sign, 2 / math.pi),
        ("Gaussian", bl.losses.Huber(1.345).slope, 0.95),
        ("Laplace", lambda r: r, 1 / 2),
        ("Student-t(3)", lambda r: r, 1 / 2),
        ("Cauchy", np.sign, 8 / math.pi**2),
        ("Cauchy", lambda r: r, 0),
    ],
)
def test_efficiencies_of_estimates_that_are_known(name, slope, efficiency):
    law = next(law for law in recover.LAWS if law.name == name)
    assert law.efficiency(lambda r: np.asarray(slope(r))) == pytest.approx(efficiency, abs=1e-5)


def test_recovers(capsys):
    n = 4000
    assert main(["recover", "--residuals", str(n), "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    assert "Student-t(3)" in shown
    rows = {line.strip().split("  ")[0]: line.split()[-5:] for line in shown.splitlines() if "  " in line.strip()}
    for k, law in enumerate(recover.LAWS):
        fitted, alone = float(rows["NLL of the fit"][k]), float(rows["its NLL"][k])
        assert fitted <= alone + 1e-4  # as printed
        if law.name != "contaminated":
            # The sample's own deviation from the entropy, and d / 2n of the fit's 5 parameters.
            deviation = (-law.log_density(law.draw(np.random.default_rng([1, k, 0]), n))).std() / math.sqrt(n)
            assert abs(fitted - law.entropy) < 5 * deviation
            assert -5 * 5 / (2 * n) < float(rows["over the true law's"][k]) <= 2e-4
        blend, alone = float(rows["efficiency of blend"][k]), float(rows["its efficiency"][k])
        slack = 0.1 if law.name == "Laplace" else 0.02  # the gate's window of 0.24 rounds off Laplace's kink
        assert BEST[law.name] - slack < blend <= BEST[law.name] + 0.001
        assert 0.9 < alone <= BEST[law.name] + 0.001
        coverage = float(rows["90% interval"][k].rstrip("%")) / 100
        slack = 0.03 if law.name == "contaminated" else 0  # which the family does not hold
        assert abs(coverage - 0.9) < slack + 4 * math.sqrt(2 * 0.09 / n)
