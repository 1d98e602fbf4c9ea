"""The command that recovers laws, on fewer residuals."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from blendloss import _recover
from blendloss._cli import main

DENSITIES = {
    "Gaussian": stats.norm(),
    "Laplace": stats.laplace(),
    "Student-t(3)": stats.t(3),
    "Cauchy": stats.cauchy(),
}


@pytest.mark.parametrize("law", _recover.LAWS, ids=lambda law: law.name)
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


def test_recovers(capsys):
    n = 4000
    assert main(["recover", "--residuals", str(n), "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    assert "Student-t(3)" in shown
    rows = {line.strip().split("  ")[0]: line.split()[-5:] for line in shown.splitlines() if "  " in line.strip()}
    for k, law in enumerate(_recover.LAWS):
        fitted, alone = float(rows["NLL of the fit"][k]), float(rows["its NLL"][k])
        assert fitted <= alone + 1e-4  # as printed
        if law.name != "contaminated":
            # The sample's own deviation from the entropy, and d / 2n of the fit's 5 parameters.
            deviation = (-law.log_density(law.draw(np.random.default_rng([1, k, 0]), n))).std() / math.sqrt(n)
            assert abs(fitted - law.entropy) < 5 * deviation
            assert -5 * 5 / (2 * n) < float(rows["over the true law's"][k]) <= 2e-4
        coverage = float(rows["90% interval"][k].rstrip("%")) / 100
        slack = 0.03 if law.name == "contaminated" else 0  # which the family does not hold
        assert abs(coverage - 0.9) < slack + 4 * math.sqrt(2 * 0.09 / n)
