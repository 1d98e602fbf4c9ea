"""The demo itself, small: every arm is trained, what is measured is written, and a run can be continued."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

import blendloss as bl
from blendloss._command.demo import arms, command, flights, plot, records, summary, training
from blendloss._command.demo.problem import TEST, TRAIN, VALIDATION, RawTable, errors, prepare
from blendloss._command.demo.settings import Request, settle
from blendloss.console.errors import UserError
from tests.commands import strict


def own_table(path: pathlib.Path, rows: int = 240) -> pathlib.Path:
    random = np.random.default_rng(0)
    size = random.normal(size=rows)
    kind = random.choice(["red", "[green]", "blue"], rows)
    lines = [f"{s:.6f},{k},{3 * s + (k == 'red') + random.standard_t(2):.6f}" for s, k in zip(size, kind, strict=True)]
    path.write_text("size,kind,price\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The flights, few of them."""
    return command.demo(Request(rows=3000, epochs=2, output=tmp_path_factory.mktemp("flights")))


def test_every_arm_is_trained_in_one_trace(run: pathlib.Path) -> None:
    record = strict(run / "demo.json")
    assert [one["arm"] for one in record["runs"]] == [arm.name for arm in arms.ARMS]
    assert {one["traces"] for one in record["runs"]} == {1}
    for one in record["runs"]:
        assert {*one["trajectory"]} == {"step", *one["weights"]}
        assert np.sum([one["trajectory"][name] for name in one["weights"]], axis=0) == pytest.approx(1, abs=1e-5)
        assert all(math.isfinite(error) for error in one["test"].values())
        assert sum(one["weights"].values()) == pytest.approx(1)
        assert one["trajectory"]["step"] == list(
            range(record["settings"]["epochs"] * record["settings"]["steps_per_epoch"])
        )


def test_arms_start_alike_and_then_differ(run: pathlib.Path) -> None:
    runs = {one["arm"]: one for one in strict(run / "demo.json")["runs"]}
    mse = runs["epoch switch"]["trajectory"]["mse"]
    assert mse == [1.0] * (len(mse) // 2) + [0.0] * (len(mse) // 2)
    assert runs["epoch switch"]["history"]["loss/mse"][0] == pytest.approx(runs["MSE alone"]["history"]["loss/mse"][0])
    assert runs["epoch switch"]["test"] != runs["MSE alone"]["test"]


def test_score_matching_shares_out_six_losses_and_says_which_is_best(run: pathlib.Path) -> None:
    matched = {one["arm"]: one for one in strict(run / "demo.json")["runs"]}["score matching"]
    assert tuple(matched["weights"]) == tuple(bl.losses.m_estimators())
    for name, share in matched["weights"].items():
        assert share == pytest.approx(matched["trajectory"][name][-1], abs=1e-6)
        assert np.ptp(matched["trajectory"][name]) > 0 or share == 0
    assert matched["report"].startswith("The best loss by itself is ")


def test_recorded_blends_can_be_rebuilt(run: pathlib.Path) -> None:
    for arm in strict(run / "demo.json")["arms"].values():
        assert isinstance(keras.saving.deserialize_keras_object(arm["blend"]), bl.Blend)


def test_the_picture_is_a_valid_file(run: pathlib.Path) -> None:
    assert (run / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in run.iterdir()} == {"demo.json", "demo.png"}  # no temporary file is left


def test_the_report_names_the_trainings_and_the_result(run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.demo(Request(resume=run))
    out = capsys.readouterr().out
    assert "9 of 9 trainings are there already" in out
    assert "Score matching ends with" in out
    assert "The best loss by itself is '" in out
    assert "327,346 remain" in out
    assert "One seed" in out
    assert "--seeds 5" in out


def test_an_interrupted_run_is_continued_to_the_same_end(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arms, "ARMS", arms.ARMS[:3])
    monkeypatch.setattr(plot, "plot", lambda record, path: path.write_bytes(b""))
    table = own_table(tmp_path / "own.csv")
    request = Request(data=table, target="price", epochs=1)
    whole = command.demo(Request(**{**vars(request), "output": tmp_path / "whole"}))

    train = training.train

    def interrupted(problem: Any, arm: Any, seed: int, *rest: Any) -> Any:
        if (arm.name, seed) == ("Huber alone", 0):
            raise KeyboardInterrupt
        return train(problem, arm, seed, *rest)

    monkeypatch.setattr(training, "train", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"1 of 3 trainings are kept\. Go on with: blendloss demo --resume"):
        command.demo(Request(**{**vars(request), "output": tmp_path / "part"}))
    monkeypatch.setattr(training, "train", train)
    command.demo(Request(resume=tmp_path / "part"))

    def results(folder: pathlib.Path) -> Any:
        record = strict(folder / "demo.json")
        return [(one["arm"], one["seed"], one["test"], one["trajectory"]) for one in record["runs"]], record["summary"]

    (runs, summary), (expected_runs, expected_summary) = results(tmp_path / "part"), results(whole)
    assert runs == expected_runs
    assert summary == expected_summary

    records.save(whole, {**records.load(whole), "seeds": 2})
    with pytest.raises(UserError, match="has 2 seeds"):
        command.demo(Request(resume=whole, seeds=1))
    table.write_text(table.read_text() + "1.0,red,2.0\n")
    with pytest.raises(UserError, match="the data have changed"):
        command.demo(Request(resume=whole))


@pytest.mark.parametrize("drop", ["size", "kind"])
def test_a_table_of_numbers_or_of_categories_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, drop: str
) -> None:
    monkeypatch.setattr(arms, "ARMS", arms.ARMS[:3])
    monkeypatch.setattr(plot, "plot", lambda record, path: path.write_bytes(b""))
    request = Request(
        data=own_table(tmp_path / "own.csv"), target="price", drop=(drop,), epochs=1, output=tmp_path / "out"
    )
    assert len(strict(command.demo(request) / "demo.json")["runs"]) == 3


# Its parts


def test_flights_are_split_by_date_and_nothing_is_known_too_early() -> None:
    table = flights.read_flights(2000)
    assert len(table.target) == 2000
    assert {*table.numbers, *table.texts} == {
        "distance", "weekday", "carrier", "origin", "dest",
        *(f"{wave} {n} sched_{end}_time" for wave in ("sin", "cos") for n in (1, 2) for end in ("dep", "arr")),
    }  # fmt: skip
    assert (np.diff(table.part[np.argsort(table.part, kind="stable")]) >= 0).all()
    assert {TRAIN, VALIDATION, TEST} == set(table.part.tolist())


def test_the_training_part_alone_decides() -> None:
    part = np.array([TRAIN, TRAIN, TRAIN, TEST, VALIDATION])
    table = RawTable(
        numbers={"x": np.array([1.0, 2.0, 3.0, 100.0, 2.0]), "constant": np.array([5.0, 5.0, 5.0, 6.0, 5.0])},
        texts={"a": np.array(["p", "q", "p", "new", "q"]), "b": np.array(["u", "u", "u", "u", "v"])},
        target=np.array([0.0, 1.0, 3.0, 1e6, 1.0]),
        part=part,
        predicts="y",
        unit="",
        story="",
        digest="",
    )
    problem = prepare(table)
    train, validation, test = problem.parts
    assert train.numbers.mean(0).tolist() == [0.0, 0.0]
    assert train.numbers[:, 0].std() == pytest.approx(1.0)
    assert test.numbers[0, 1] == 0.0
    assert train.categories.tolist() == [[1, 4], [2, 4], [1, 4]]
    assert (validation.categories.tolist(), test.categories.tolist()) == ([[2, 3]], [[0, 4]])  # 0, 3: unknown
    assert (problem.vocabulary, problem.centre) == (5, 1.0)
    assert problem.in_units(test.target)[0] == pytest.approx(1e6)


def test_errors() -> None:
    assert errors(np.array([1.0, 0.0, 5.0]), np.array([0.0, 0.0, 0.0])) == pytest.approx(
        {"mae": 2.0, "rmse": math.sqrt(26 / 3), "median": 1.0}
    )


@pytest.mark.parametrize(("rows", "batch", "epochs"), [(140, 16, 30), (60_000, 1024, 17), (244_737, 1024, 5)])
def test_settings_grow_with_the_table(rows: int, batch: int, epochs: int) -> None:
    settings = settle(Request(), rows)
    assert (settings.batch, settings.epochs) == (batch, epochs)
    assert settings.steps_per_epoch >= 8
    assert type(settings).from_json(json.loads(json.dumps(settings.to_json()))) == settings


def runs_of(errors_by_arm: dict[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm,
            "seed": seed,
            "test": dict.fromkeys(summary.METRICS, error),
            "weights": {"squared": 0.004, "huber": 0.25 - 0.1 * (seed % 2), "tukey": 0.746 + 0.1 * (seed % 2)},
            "report": f"Report {seed}.",
        }
        for arm, values in errors_by_arm.items()
        for seed, error in enumerate(values)
    ]


def test_findings_compare_with_the_better_single_loss_seed_by_seed() -> None:
    # The seeds differ far more than the arms do: only paired differences can tell.
    base = {arm.name: [2.0, 7.0, 4.0, 9.0] for arm in arms.ARMS}
    change = {"MSE alone": 1.0, "learned": -0.5, "annealed": 0.25}
    jitter = [0.001, -0.001, 0.001, -0.001]
    for arm, by in change.items():
        base[arm] = [error + by + jot for error, jot in zip(base[arm], jitter, strict=True)]
    runs = runs_of(base)
    first, *rest, last = summary.findings(runs, "minutes", dict.fromkeys(summary.METRICS, 100.0))
    assert "Huber is better (5.500 minutes)" in first
    assert "below it: learned (-0.5)" in first
    assert "above it: annealed (+0.25)" in first
    assert "no different: epoch switch (+0)" in first
    assert rest[-1] == "Score matching ends with 80% tukey, 20% huber. Report 0."
    assert last.startswith("4 seeds")


def test_one_seed_claims_nothing() -> None:
    runs = runs_of({arm.name: [1.0] for arm in arms.ARMS})
    said = summary.findings(runs, "minutes", dict.fromkeys(summary.METRICS, 0.5))
    assert "no blend is below it" in said[0]
    assert "No arm beats predicting the training median in MAE or RMSE or MedAE." in said
    assert said[-1].startswith("One seed")


def test_a_record_is_written_atomically(tmp_path: pathlib.Path) -> None:
    records.save(tmp_path, {"format": 1, "value": [math.nan, math.inf, 1.0]})
    assert strict(tmp_path / "demo.json")["value"] == [None, None, 1.0]

    def fail(path: pathlib.Path) -> None:
        path.write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        records.replace(tmp_path / "demo.json", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]
    assert strict(tmp_path / "demo.json")["format"] == 1


def test_runs_are_numbered(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [str(records.new_folder(None, False)) for _ in range(2)] == [
        "blendloss-demo/run-001",
        "blendloss-demo/run-002",
    ]
