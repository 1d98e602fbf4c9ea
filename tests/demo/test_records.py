"""Records that are JSON and not as expected: one line, whatever was changed, and nothing is trained."""

from __future__ import annotations

import copy
import json
import os
import pathlib
from typing import Any

import pytest

from blendloss._command.demo import arms, command, training
from blendloss._command.demo.problem import TRAIN, prepare
from blendloss._command.demo.settings import Request, settle
from blendloss._command.demo.table import read_table
from blendloss._command.main import main
from blendloss.console.strict_json import NUMBER, check, parse

RUN: dict[str, Any] = {
    "arm": "Huber alone",
    "seed": 0,
    "test": {"mae": 1.0, "rmse": 2.0, "median": 0.5},
    "validation": {"mae": 1.0, "rmse": 2.0, "median": 0.5},
    "weights": {"mse": 0.0, "huber": 1.0},
    "seconds": 1.0,
    "traces": 1,
    "history": {"loss": [1.0, None]},
    "trajectory": {"step": [0, 1], "mse": [0.0, 0.0], "huber": [1.0, 1.0]},
}


class Trained(Exception):
    """The record was taken: a training began."""


@pytest.fixture
def record(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A record of a table here, with one run; training raises."""
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "own.csv"
    table.write_text("x,y\n" + "\n".join(f"{i % 17}.5,{i}" for i in range(240)) + "\n")

    def train(*_: Any) -> None:
        raise Trained

    monkeypatch.setattr(training, "train", train)
    problem = prepare(read_table(table, "y"))
    request = Request(data=table, target="y", epochs=1)
    held = command._new_record(problem, settle(request, len(problem.parts[TRAIN].target)))
    return {**held, "runs": [copy.deepcopy(RUN)]}


def resumed(capsys: pytest.CaptureFixture[str], text: str | bytes) -> str:
    """What is said of the record `text`."""
    pathlib.Path("demo.json").write_bytes(text.encode() if isinstance(text, str) else text)
    capsys.readouterr()
    assert main(["demo", "--resume", "."]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_record_as_it_was_written_is_taken(record: dict[str, Any]) -> None:
    pathlib.Path("demo.json").write_text(json.dumps(record))
    with pytest.raises(Trained):
        main(["demo", "--resume", "."])


SETTINGS: dict[str, list[Any]] = {
    "batch": [0, -16, 1.5, True, None, "16", 10**400, 8],
    "steps_per_epoch": [0, 11],
    "epochs": [0, -1, 10**9, 1e300],
    "drop": [None, "x", [1], {}],
    "rows": ["3", -1],
    "data": [None, 5, "nowhere.csv", "a\0b", "."],
    "target": [None, 3, "z"],
}
TOP: dict[str, list[Any]] = {
    "format": [None, 0, 1.5, "1", [1]],
    "seeds": [-1, 0, 1.0, True, None, "1", 10**20, [1]],
    "settings": [[], {}, None, "x"],
    "versions": [[], {}, None, {"python": 3}, {"python": "2.7"}],
    "data": [[], {}, None, {"sha256": 5}],
    "runs": [None, {}, [1], [[]], [{}], [None], "x"],
    "more": [1],
}
IN_RUN: dict[str, list[Any]] = {
    "arm": ["nobody", None, 3, ["Huber alone"]],
    "seed": [-1, 1, 0.0, None, "0", 10**30],
    "test": [None, {}, [1.0], {"mae": 1.0}, {"mae": None, "rmse": 1.0, "median": 1.0}],
    "weights": [{}, {"mse": "0", "huber": 1.0}, {"mse": 0.0, "tukey": 1.0}, {"mse": 0.0, "huber": 1.0, "tukey": 0.0}],
    "seconds": [None, "1", True],
    "history": [[], {"loss": 3}, {"loss": ["x"]}],
    "trajectory": [
        {},
        {"step": [], "mse": [], "huber": []},
        {"step": [0], "mse": [0.0, 0.0], "huber": [1.0]},
        {"step": [0], "mse": [0.0], "tukey": [1.0]},
        {"mse": [0.0], "huber": [1.0]},
    ],
    "report": [3, ["x"]],
}
CHANGES = [
    *((lambda record: record, name, value) for name, values in TOP.items() for value in values),
    *((lambda record: record["settings"], name, value) for name, values in SETTINGS.items() for value in values),
    *((lambda record: record["runs"][0], name, value) for name, values in IN_RUN.items() for value in values),
]


def test_a_changed_field_is_a_one_line_error(record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for part, name, value in CHANGES:
        changed = copy.deepcopy(record)
        part(changed)[name] = value
        assert resumed(capsys, json.dumps(changed)), (name, value)


def test_a_missing_field_is_a_one_line_error(record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for part in (lambda one: one, lambda one: one["settings"], lambda one: one["runs"][0]):
        for name in {**part(record)}.keys() - {"baseline"}:
            changed = copy.deepcopy(record)
            del part(changed)[name]
            assert "demo.json" in resumed(capsys, json.dumps(changed)), name


def test_a_run_that_is_there_twice(record: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    record["runs"] *= 2
    assert "seed 0 of Huber alone is there twice" in resumed(capsys, json.dumps(record))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        pytest.param(b"[" * 100_000, id="100000 brackets"),
        pytest.param(b"[" * 200 + b"]" * 200, id="200 pairs of brackets"),
        b'{"format": 1, "format": 1}',
        b'{"format": NaN}',
        b'{"format": -Infinity}',
        b'{"format": 1e999}',
        b"9" * 5000,
        b'{"format": 1}',
        b'{"format": 1} {}',
        b"null",
        b'"' + b"x" * 1000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_file_that_is_no_record_of_the_demo(
    record: dict[str, Any], capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    assert "is not a record of this demo" in resumed(capsys, text)


def test_a_record_that_is_too_large(
    record: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blendloss.console.strict_json.MOST_BYTES", 10)
    assert "at most 10 are read" in resumed(capsys, json.dumps(record))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_record_that_is_no_regular_file_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    make("demo.json")
    assert main(["demo", "--resume", "."]) == 2
    assert "it is not a regular file" in capsys.readouterr().err


def test_a_folder_that_is_a_file(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "--resume", str(tmp_path / "file")]) == 2
    assert "Not a directory" in capsys.readouterr().err


def test_a_result_that_is_nan_ends_the_run(
    record: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arms, "ARMS", arms.ARMS[:2])
    run = {**RUN, "arm": "MSE alone", "test": {**RUN["test"], "mae": float("nan")}}
    monkeypatch.setattr(training, "train", lambda *_: run)
    pathlib.Path("demo.json").write_text(json.dumps(record))
    assert main(["demo", "--resume", "."]) == 2
    out, err = capsys.readouterr()
    assert "test of MSE alone, seed 0: mae is nan, which is not a result" in err
    assert "better" not in out
    assert [run["arm"] for run in json.loads(pathlib.Path("demo.json").read_text())["runs"]] == ["Huber alone"]


def test_a_number_is_what_a_float_holds() -> None:
    for text in ("1e308", "-5", "0"):
        check(parse(text), NUMBER, "it")
    for text in ("true", "1" + "0" * 400, "null", '"1"'):
        with pytest.raises(ValueError, match="it must be a number"):
            check(parse(text), NUMBER, "it")
