"""The study of noise, small: what it writes, what it says, and how it declines."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

import blendloss as bl
from blendloss._command import contaminated
from blendloss._command.contaminated import Contaminated, normal_log_density
from blendloss._command.main import main
from blendloss._command.noise import arms, command, data, report, summary, training
from blendloss._command.noise.settings import Request, Settings
from blendloss.console.errors import UserError
from tests.commands import strict

SMALL = Settings(seeds=2, train=200, held_out=60, test=500, batch=50, epochs=3, hidden=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return command.study(Request(SMALL, tmp_path_factory.mktemp("noise")))


@pytest.fixture(scope="module")
def record(folder: pathlib.Path) -> Any:
    return strict(folder / "noise.json")


# The command


def test_every_arm_is_trained_with_every_seed(record: Any) -> None:
    assert [(run["arm"], run["seed"]) for run in record["runs"]] == [
        (arm.name, seed) for arm in arms.ARMS for seed in range(2)
    ]
    for run in record["runs"]:
        assert 0 < run["rmse"] < 20
        assert run["trajectory"]["step"] == [3, 7, 11]  # the last of each execution
        assert set(run["trajectory"]["weights"]) == set(run["found"]["weights"])


def test_the_weights_of_gates_change_and_of_single_losses_do_not(record: Any) -> None:
    for run in record["runs"]:
        weights = np.array(list(run["trajectory"]["weights"].values()))
        assert (np.ptp(weights, axis=1) > 0).any() == (run["arm"] not in arms.SINGLES)
        if run["arm"] != "exponential family":
            assert sum(run["found"]["weights"].values()) == pytest.approx(1)


def test_score_matching_shares_out_six_losses_and_says_which_is_best(record: Any) -> None:
    for run in record["runs"]:
        assert (run["report"] is not None) == (run["arm"] == "score matching")
        if run["report"] is not None:
            assert run["report"].startswith("The best loss by itself is ")
            assert tuple(run["found"]["weights"]) == tuple(bl.losses.m_estimators())
            for name, share in run["found"]["weights"].items():
                assert share == pytest.approx(run["trajectory"]["weights"][name][-1], abs=1e-6)
            assert 0 < run["found"]["scales"] < 20


def test_laws_that_were_found_are_densities_away_from_the_truth(record: Any) -> None:
    for run in record["runs"]:
        assert (run["noise"] is None) == (run["arm"] in ("Huber alone", "naive", "held-out", "score matching"))
        if run["noise"] is not None:
            density = np.exp(run["noise"]["log_density"])
            mass = integrate.trapezoid(density, run["noise"]["r"])
            assert 0.9 < mass < 1.01  # the tails beyond what is drawn are missing
            assert 0 < run["noise"]["beyond"] < 1
            assert run["noise"]["divergence"] > 0


def test_the_picture_is_a_valid_file_and_no_other_file_is_left(folder: pathlib.Path) -> None:
    assert (folder / "noise.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in folder.iterdir()} == {"noise.json", "noise.png"}


def test_results_are_never_replaced_unasked(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "noise.json").read_bytes()
    assert main(["noise", "--output", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "already holds noise.json and noise.png: choose another --output or replace it with --overwrite" in err
    assert (folder / "noise.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--share", "0.6"], "--share must be from 0 to 0.5"),
        (["--share", "-0.1"], "--share must be from 0 to 0.5"),
        (["--width", "0.5"], "--width must be from 1 to 1000"),
        (["--width", "1e308"], "--width must be from 1 to 1000"),
    ],
)
def test_invalid_noise_is_refused(
    arguments: list[str], message: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["noise", *arguments, "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interruption_keeps_what_was_finished(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = training.Trainer.train

    def interrupted(self: Any, data: Any, seed: int, progress: Any) -> Any:
        if seed == 1:
            raise KeyboardInterrupt
        return train(self, data, seed, progress)

    monkeypatch.setattr(training.Trainer, "train", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"1 of 16 trainings are in .*noise\.json"):
        command.study(Request(SMALL, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["noise.json"]
    assert [run["seed"] for run in strict(tmp_path / "noise.json")["runs"]] == [0]


def test_missing_matplotlib_is_found_before_training(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs matplotlib: pip install "blendloss\[demo\]"'):
        command.study(Request(SMALL, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# A training


@pytest.mark.parametrize("name", ["held-out", "likelihood choice", "mixture", "score matching"])
def test_a_model_that_is_used_again_starts_anew(name: str) -> None:
    arm = next(arm for arm in arms.ARMS if arm.name == name)
    drawn = [data.draw(SMALL, seed) for seed in range(2)]
    used = training.Trainer(arm, SMALL)
    used.train(drawn[0], 0, lambda steps, loss: None)
    again = used.train(drawn[1], 1, lambda steps, loss: None)
    fresh = training.Trainer(arm, SMALL).train(drawn[1], 1, lambda steps, loss: None)
    for key in ("rmse", "found", "noise", "report", "trajectory"):
        assert again[key] == fresh[key]


def test_data_have_the_function_and_the_noise_that_is_said() -> None:
    settings = Settings(train=100_000, held_out=10, test=20)
    drawn = data.draw(settings, 0)
    x = drawn.train.x.astype(np.float64) / np.sqrt(12) + 0.5
    noise = drawn.train.y[:, 0] - (data.friedman(x) - 14.4)
    n = len(noise)
    # 5 standard errors; the variance of r^2 is E r^4 - (E r^2)^2.
    fourth = 3 * (1 - settings.share + settings.share * settings.width**4)
    variance = settings.noise.variance
    assert abs(np.mean(noise**2) - variance) < 5 * math.sqrt((fourth - variance**2) / n)
    beyond = settings.noise.beyond(3)
    assert abs(np.mean(np.abs(noise) > 3) - beyond) < 5 * math.sqrt(beyond * (1 - beyond) / n)
    assert abs(np.mean(data.friedman(x)) - 14.4) < 0.1
    x = drawn.test.x.astype(np.float64) / np.sqrt(12) + 0.5
    np.testing.assert_allclose(drawn.test.y[:, 0], data.friedman(x) - 14.4, atol=1e-5)  # float32
    assert data.friedman(np.array([[0.5, 1.0, 0.0, 0.2, 0.4]])) == pytest.approx(10 + 5 + 2 + 2)


@pytest.mark.parametrize("noise", [Contaminated(0.1, 10.0), Contaminated(0.0, 10.0), Contaminated(0.5, 1.0)])
def test_the_noise_has_a_density_of_integral_one(noise: Contaminated) -> None:
    r = noise.grid()
    # float64's rounding over some thousand terms
    assert noise.mean(np.ones_like(r), r) == pytest.approx(1, abs=1e-12)
    assert noise.mean(r**2, r) == pytest.approx(noise.variance, rel=1e-12)
    slope = (noise.log_density(r[2:]) - noise.log_density(r[:-2])) / (r[2:] - r[:-2])
    np.testing.assert_allclose(noise.score(r[1:-1]), -slope, atol=1e-3)  # h^2 / 6 of the third derivative
    inside = integrate.quad(lambda r: math.exp(noise.log_density(np.float64(r))), -3, 3, epsabs=1e-12)[0]
    assert noise.beyond(3) == pytest.approx(1 - inside, abs=1e-10)


def test_divergence_and_tail_of_a_normal_law_are_the_closed_forms() -> None:
    # KL(N(0, 1) || N(0, s^2)) = log s + 1 / (2 s^2) - 1/2
    truth, sd = Contaminated(0.0, 1.0), 2.0
    r = truth.grid()
    off = truth.log_density(r) - normal_log_density(r, sd)
    assert truth.mean(off, r) == pytest.approx(math.log(sd) + 1 / (2 * sd**2) - 0.5, abs=1e-12)
    found = training._beyond(lambda r: normal_log_density(r, sd))
    # Simpson's rule: 6 h^4 / 180 max |p''''| = 3e-13, and rounding
    assert found == pytest.approx(2 * stats.norm.sf(training.LIMIT / sd), abs=1e-11)
    assert contaminated.normal_log_density(np.array(1.5), sd) == pytest.approx(stats.norm.logpdf(1.5, scale=sd))


# What it says


def runs_of(errors: dict[str, list[float]], collapsed: bool = True) -> list[dict[str, Any]]:
    def run(arm: str, seed: int, error: float) -> dict[str, Any]:
        weights = {"narrow": 0.9, "broad": 0.1} if arm == "mixture" else {"squared": 0.25, "Cauchy": 0.75}
        return {
            "arm": arm,
            "seed": seed,
            "rmse": error,
            "found": {"weights": weights, "scales": [1.0, 8.0 + 2 * seed] if arm == "mixture" else None},
            "noise": {"divergence": 0.25, "beyond": 0.1} if arm in ("mixture", "squared alone") else None,
            "diagnosis": {"collapsed": collapsed and seed > 0, "sentence": f"Sentence {seed}."},
            "report": f"Report {seed}." if arm == "score matching" else None,
        }

    return [run(arm, seed, error) for arm, values in errors.items() for seed, error in enumerate(values)]


def test_findings_compare_with_the_better_single_loss_seed_by_seed() -> None:
    # The seeds differ far more than the arms do: only paired differences can tell.
    jitter = np.array([0.001, -0.001, 0.001, -0.001])
    errors = {arm.name: [2.0, 7.0, 4.0, 9.0] for arm in arms.ARMS}
    for arm, by in {"squared alone": 1.0, "mixture": -0.5, "held-out": 0.25}.items():
        errors[arm] = (np.array(errors[arm]) + by + jitter).tolist()
    first, noise, matched, naive, last = summary.findings(runs_of(errors), Contaminated(0.1, 10.0))
    assert "Huber is nearer (5.500, 1 less than squared)" in first
    assert "below it: mixture (-0.5)" in first
    assert "above it: held-out (+0.25)" in first
    assert "no different: naive (+0), likelihood choice (+0), exponential family (+0)" in first
    assert "normal, of scale 1, 0.1 of it of scale 10;" in noise
    assert "the mixture finds scale 1, and 0.1 of scale 11." in noise
    assert matched == "Score matching ends with 75% Cauchy, 25% squared. Report 0."
    assert naive == "Collapsed with 3 of 4 seeds. Sentence 1."
    assert last.startswith("4 seeds, each")


def test_one_seed_claims_nothing_and_losers_are_named() -> None:
    errors = {arm.name: [1.0] for arm in arms.ARMS} | {"mixture": [3.0], "squared alone": [0.5]}
    first, _, _, naive, last = summary.findings(runs_of(errors), Contaminated(0.1, 10.0))
    assert "squared is nearer (0.5000, 0.5 less than Huber)" in first
    assert "the nearest gate, naive, is at +0.5 from it" in first
    assert naive == "Sentence 0."
    assert last.startswith("One seed")


def test_summaries_are_means_over_seeds() -> None:
    found = summary.summarize(runs_of({"mixture": [1.0, 3.0]}))["mixture"]
    assert found["rmse"] == pytest.approx({"mean": 2.0, "std": math.sqrt(2)})
    assert found["scales"] == [1.0, 9.0]
    assert (found["divergence"], found["beyond"]) == (0.25, 0.1)
    assert report.ended_with(found) == "0.90 narrow (1.00), 0.10 broad (9.00)"
    family = {"weights": {"a": 0.001, "b": 0.5, "c": 1.0}, "scales": 1.5}
    assert report.ended_with(family) == "1.00 c, 0.50 b (1.50)"
