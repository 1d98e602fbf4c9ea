"""Runs of a benchmark without TensorFlow: what is kept, resumed, refused, and what fails."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from benchmarks.console.errors import UserError
from benchmarks.console.results import replace

from benchmarks import __main__ as command
from benchmarks.harness import conduct, report
from benchmarks.harness.benchmark import Part, load
from benchmarks.harness.remote import ROOT, Remote, WorkerError
from benchmarks.harness.store import SAMPLES, Store, read
from tests.benchmarks import fake


@pytest.fixture(autouse=True)
def only_the_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SUITE", ("fake",))
    for module in (command, report):
        monkeypatch.setattr(module, "load", lambda name: fake.BENCHMARK)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "results"


def run(folder: pathlib.Path, *options: str, arms: tuple[str, ...] = ("long", "roof")) -> int:
    given = ["fake", "--quick", "--output", str(folder), "--milliseconds", "2", "--timeout", "3"]
    return command.main([*given, "--arms", *arms, *options])


def samples(folder: pathlib.Path, event: str) -> list[dict[str, Any]]:
    return [one for record in read(folder / SAMPLES) for one in record["samples"] if one["event"] == event]


def test_every_sample_is_kept_with_what_it_depends_on(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_nothing=1")
    assert run(folder) == 0
    records = read(folder / SAMPLES)
    assert [record["case"] for record in records] == [{"size": 1, "kind": "a"}, {"size": 2, "kind": "a"}]
    for record in records:
        assert record["flags"]["XLA_FLAGS"] == "--xla_nothing=1"
        assert {"processor", "commit", "load", "settings", "platform"} <= set(record)
        (about,) = record["workers"].values()
        assert about["device"] == "a clock"
        assert {"python", "numpy", "tensorflow"} <= set(about["versions"])
    times = samples(folder, "time")
    assert len(times) == 2 * 4 * 4  # cases, blocks, arms with the base once more
    assert {one["arm"] for one in times} == {"short", "short (A/A)", "long", "roof"}
    screen = capfd.readouterr()
    assert "noise" not in screen.out + screen.err
    assert screen.out == (folder / "report.md").read_text() + "\n"


def test_the_report_says_what_was_measured(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    text = (folder / "report.md").read_text()
    assert "| size | 1 | 2 |" in text
    # Sleeping three times as long takes three times as long, on however busy a machine: at least twice.
    (row,) = (line for line in text.split("## Time over that of: short")[1].splitlines() if line.startswith("| long "))
    assert all(2 < float(cell.split()[0]) < 10 for cell in row.split("|")[2:4])
    assert "| roof | 100% | 100% |" in text
    assert "| long | 1 | 1 |" in text.split("## calls counted")[1]
    assert {"ratios.png", "units-per-s-by-size.png"} <= set(os.listdir(folder))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.md").unlink()
    capsys.readouterr()
    assert command.main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == text + "\n"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nothing_is_overwritten(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--size", "1") == 0
    before = (folder / SAMPLES).read_bytes()
    assert run(folder, "--size", "1") == 2
    assert "go on with --resume, or choose another --output" in capsys.readouterr().err
    assert (folder / SAMPLES).read_bytes() == before


def test_an_interrupted_run_goes_on_where_it_was(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure, left = conduct.measure, [2]

    def interrupted(*given: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return measure(*given)

    monkeypatch.setattr(conduct, "measure", interrupted)
    assert run(folder, "--size", "1", "2", "4") == 130
    assert "go on with --resume" in capsys.readouterr().err
    before = (folder / SAMPLES).read_bytes()
    assert before.count(b"\n") == 2
    left[0] = 1
    assert run(folder, "--size", "1", "2", "4", "--resume") == 0  # one case was left
    after = (folder / SAMPLES).read_bytes()
    assert after.startswith(before)
    assert [record["case"]["size"] for record in read(folder / SAMPLES)] == [1, 2, 4]
    left[0] = 0
    assert run(folder, "--size", "1", "2", "4", "--resume") == 0  # nothing is left
    assert (folder / SAMPLES).read_bytes() == after


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda record: record["settings"].update(blocks=7), "settings"),
        (lambda record: record["settings"].update(arms=["long"]), "settings"),
        (lambda record: record.update(benchmark="other"), "benchmark"),
        (lambda record: record.update(commit="1234567"), "commit"),
        (lambda record: record["flags"].update(XLA_FLAGS="--other"), "flags"),
        (lambda record: record["workers"]["tests.benchmarks.fake"]["versions"].update(tensorflow="2.0"), "workers"),
    ],
    ids=["blocks", "arms", "benchmark", "commit", "flags", "versions"],
)
def test_samples_of_different_conditions_are_not_mixed(
    folder: pathlib.Path, change: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--size", "1") == 0
    (record,) = read(folder / SAMPLES)
    change(record)
    (folder / SAMPLES).write_text(json.dumps(record) + "\n")
    before = (folder / SAMPLES).read_bytes()
    assert run(folder, "--size", "1", "2", "--resume") == 2
    assert f"were taken with {name}" in capsys.readouterr().err
    assert (folder / SAMPLES).read_bytes() == before


def test_arms_that_fail_are_lines_of_the_report(folder: pathlib.Path) -> None:
    failing = ("raises as it is built", "raises as it runs", "differs", "gives NaN", "has a NaN fact")
    assert run(folder, "--size", "1", arms=("long", *failing)) == 1
    text = (folder / "report.md").read_text()
    errors = ("ValueError: not today", "tired", "differs from the base's by 5.0e-01", "is not finite", "Out of range")
    for arm, error in zip(failing, errors, strict=True):
        assert f"- {arm} (size 1, kind a; process 0): " in text
        assert error in text
    assert len([one for one in samples(folder, "time") if one["arm"] == "long"]) == 4


@pytest.mark.parametrize(("arm", "error"), [("dies", "the process ended with 3: noise"), ("hangs", "no answer in 3 s")])
def test_an_arm_that_takes_its_process_along_leaves_the_others(folder: pathlib.Path, arm: str, error: str) -> None:
    assert run(folder, "--size", "1", arms=("long", arm)) == 1
    (failed,) = samples(folder, "failed")
    assert failed["arm"] == arm
    assert error in failed["error"]
    assert len([one for one in samples(folder, "time") if one["arm"] == "long"]) == 4


def test_a_module_that_cannot_be_imported_is_a_one_line_error(folder: pathlib.Path) -> None:
    parts = (Part("tests.benchmarks.missing"), *fake.BENCHMARK.parts)
    benchmark = fake.BENCHMARK.__class__(**{**vars(fake.BENCHMARK), "parts": parts})
    plan = conduct.Plan({"size": (1,), "kind": ("a",)}, ("long",), 1, 2, 2, 20)
    assert conduct.run(benchmark, plan, folder, resume=False) == 1
    (failed,) = samples(folder, "failed")
    assert failed["arm"] == "tests.benchmarks.missing"
    assert "ModuleNotFoundError" in failed["error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arms", "lang"], "Received: ['lang']"),
        (["--kind", "c"], "invalid choice: 'c'"),
        (["--size", "2^x"], "must be a whole number"),
        (["--blocks", "0"], "must be from 1 to 10000"),
        (["--size", "0"], "must be from 1"),
        (["--size", "2^-1"], "must be from 0 to 99"),
        (["--size", "9^99"], "must be a whole number"),
        (["--size", "2^41"], "must be from 1 to 1099511627776"),
        (["--timeout", "9" * 400], "must be a whole number"),
        (["--processes", "1.5"], "must be a whole number"),
        (["--output", ""], "must be a path"),
    ],
)
def test_mistakes_are_one_line_errors(
    folder: pathlib.Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert command.main(["fake", "--output", str(folder), *options]) == 2
    except SystemExit as exit:
        assert exit.code == 2
    assert message in capsys.readouterr().err


def test_a_report_of_nothing_is_a_one_line_error(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["report", str(tmp_path)]) == 2
    (tmp_path / SAMPLES).write_text('{"format": 0}\n')
    assert command.main(["report", str(tmp_path)]) == 2
    (tmp_path / SAMPLES).write_text('{"format":')
    assert command.main(["report", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


RECORD: dict[str, Any] = {
    "format": 1,
    "benchmark": "fake",
    "processor": "a clock",
    "usable cores": 1,
    "platform": "here",
    "commit": None,
    "flags": {"XLA_FLAGS": None},
    "settings": {"blocks": 2, "milliseconds": 2, "arms": "all"},
    "case": {"size": 1, "kind": "a"},
    "process": 0,
    "load": 0.5,
    "workers": {"fake": {"versions": {"python": "3"}, "device": None}},
    "samples": [
        {"event": "built", "arm": "short", "seconds": 0.1, "facts": {"units": 1}, "timed": True},
        {"event": "time", "arm": "short", "block": 0, "calls": 3, "seconds": 0.5, "counted": 3},
        {"event": "failed", "arm": "long", "error": "not today"},
    ],
}
BUILT, TIME, FAILED = RECORD["samples"]
ALLOWED = [("commit", None), ("load", -1)]


def reported(folder: pathlib.Path, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a report of the samples `text` ends with; continuing them does not begin, either."""
    (folder / SAMPLES).write_text(text)
    assert command.main(["report", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_a_record_as_it_was_written_is_reported(tmp_path: pathlib.Path) -> None:
    (tmp_path / SAMPLES).write_text(json.dumps(RECORD) + "\n")
    assert command.main(["report", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for name in RECORD for value in (None, [1], -1) if (name, value) not in ALLOWED),
        {"case": {"size": "1", "kind": "a"}},
        {"case": {"size": 1, "other": "a"}},
        {"settings": {}},
        {"more": 1},
        {"samples": [{}]},
        {"samples": [{**BUILT, "event": "sold"}]},
        {"samples": [{**BUILT, "facts": {"units": [1]}}]},
        {"samples": [BUILT, {**TIME, "seconds": 0}]},
        {"samples": [BUILT, {**TIME, "calls": 0}]},
        {"samples": [BUILT, {**TIME, "block": "0"}]},
        {"samples": [BUILT, {**TIME, "counted": "3"}]},
        {"samples": [{**FAILED, "error": None}]},
        {"samples": [{**BUILT, "facts": {"units": "one"}}, TIME]},
    ],
    ids=repr,
)
def test_a_record_that_was_changed_is_a_one_line_error(
    change: dict[str, Any], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert SAMPLES in reported(tmp_path, json.dumps({**RECORD, **change}), capsys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "NaN",
        json.dumps(RECORD).replace("0.5", "NaN"),
        json.dumps(RECORD)[:-1],
        f"{json.dumps(RECORD)}\n{json.dumps(RECORD)}",
        f"{json.dumps(RECORD)}\n{json.dumps({**RECORD, 'process': 1, 'case': {'kind': 'a', 'size': 2}})}",
    ],
    ids=["empty", "nested too deeply", "NaN alone", "NaN inside", "cut off", "a record twice", "a second benchmark"],
)
def test_a_file_without_samples_is_a_one_line_error(
    text: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "holds no samples" in reported(tmp_path, text, capsys)
    assert run(tmp_path, "--resume") == 2


def test_another_module_is_no_benchmark(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("harness.worker", "fake", "os"):
        with pytest.raises(UserError, match="there is no benchmark"):
            load(name)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_samples_that_are_no_regular_file_are_refused(
    make: Any, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / SAMPLES)
    assert command.main(["report", str(tmp_path)]) == 2
    assert "it is not a regular file" in capsys.readouterr().err


def test_a_worker_ends_with_its_parent() -> None:
    # The worker writes to the parent's stderr, which therefore ends when both have ended.
    program = (
        "import sys, tempfile; tempfile.TemporaryFile = lambda: sys.stderr; "
        "from benchmarks.harness.remote import Remote; worker = Remote(sys.executable, 600); "
        "worker.ask('arms', module='tests.benchmarks.fake', case={}); print('ready', flush=True); "
        "worker.ask('build', module='tests.benchmarks.fake', case={'size': 1}, arm='hangs', called='', expected='', "
        "folder='')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        parent.communicate(timeout=50)  # the arm alone would hang for 60 s


def test_a_job_of_a_replay_ends_with_its_parent() -> None:
    program = "from benchmarks.replay.run import end_with_parent; end_with_parent()"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.DEVNULL, timeout=100)
    assert ran.returncode == 1


def test_numbers_may_be_powers() -> None:
    assert command.power(1 << 22)("2^22") == 1 << 22
    assert command.power(256)("256") == 256


def test_arms_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["fake", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == fake.arms({})


def test_a_file_is_written_atomically(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    replace(path, lambda place: place.write_text("first"))

    def fails(place: pathlib.Path) -> None:
        place.write_text("sec")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        replace(path, fails)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "first"


def test_a_folder_that_cannot_be_written_is_a_one_line_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        Store(tmp_path / "file" / "results", resume=False)


def test_a_worker_answers_after_a_failure() -> None:
    with Remote(sys.executable, timeout=20) as worker:
        with pytest.raises(WorkerError, match="ModuleNotFoundError"):
            worker.ask("arms", module="nowhere", case={})
        assert worker.ask("arms", module="tests.benchmarks.fake", case={})["arms"] == fake.arms({})


def test_neither_the_command_nor_its_report_imports_tensorflow() -> None:
    program = "import sys, benchmarks.__main__, benchmarks.harness.plots; print('tensorflow' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("False\n", "")
