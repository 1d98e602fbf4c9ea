"""The papers: verdicts, records that a killed run continues, the table, and every paper at its smallest size."""

from __future__ import annotations

import importlib
import json
import math
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from blendloss.console.environment import versions
from blendloss.console.errors import UserError
from papers import _conduct, _paper, _pool, _table
from papers.__main__ import main
from papers._claim import FAILED, NOT, PENDING, REPRODUCED, WITHIN, Claim, Runs, holds, number, require_numbers
from papers._pool import Finished, Task, Workers, run_all
from papers._processes import processes
from papers._record import COMMITTED, RESULTS, committed

ROOT = pathlib.Path(__file__).parents[2]
NAMES = _paper.names()
CONTINUES = "liu2019_darts"
#: A study that continues another uses its problems and trainer.
CONTINUED = {
    "blendloss2026_annealing": "wang2021_pinn",
    "blendloss2026_score_matching": "blendloss2026_switching",
}


def runs(*values: float | None, arm: str = "a") -> Runs:
    return Runs([{"arm": arm, "seed": seed, "result": {"x": value}} for seed, value in enumerate(values)])


def measured(found: Runs):
    return number(*found.numbers("a", "x"))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((1.0, 1.2), REPRODUCED),
        ((1.4,), WITHIN),
        ((0.5, 1.0), WITHIN),
        ((2.0,), NOT),
        ((1.1, None), FAILED),  # an error, not a verdict
        ((1.1, math.inf), FAILED),
    ],
)
def test_a_number_is_judged_by_the_mean_over_seeds(values, verdict):
    claim = Claim("x", 1.1, "a table", measured, digits=0.1, tolerance=0.4, why="spread")
    assert claim.judged(runs(*values)).verdict == verdict


def test_a_claim_in_words_is_not_judged_by_nan():
    claim = Claim("x", "it falls", "a figure", lambda found: holds(not found.numbers("a", "x").mean() > 0, "seen"))
    assert claim.judged(runs(-1.0)).verdict == REPRODUCED
    judged = [claim.judged(runs(math.nan)), claim.judged(runs(-1.0))]
    assert [one.verdict for one in judged] == [FAILED, REPRODUCED]
    require_numbers(judged[1:])
    with pytest.raises(UserError, match="no finite number for: x"):
        require_numbers(judged)


def test_rounding_errors_are_shown_without_digits():
    shown = [str(number(*values)) for values in [(3e-17, -2e-16), (3e-17,), (0.0,), (0.25, 0.75)]]
    assert shown == ["below 1e-12 (n = 2)", "below 1e-12", "0", "0.5 ± 0.35 (n = 2)"]


@pytest.mark.parametrize(("truth", "verdict"), [(True, REPRODUCED), (False, NOT)])
def test_a_sentence_holds_or_does_not(truth, verdict):
    judged = Claim("x", "it holds", "a figure", lambda found: holds(truth, "seen")).judged(runs(1.0))
    assert judged.verdict == verdict
    assert judged.row == ("x", "it holds", "seen", verdict)


def test_claims_without_a_run_are_not_judged():
    claim = Claim("x", 1.0, "a table", measured, digits=0.1, tolerance=0.1)
    assert claim.judged(Runs([])).verdict == PENDING
    assert claim.judged(runs(1.0, arm="b")).verdict == PENDING


def test_a_claim_needs_the_tolerance_of_its_kind():
    with pytest.raises(ValueError, match="digits"):
        Claim("x", 1.0, "a table", measured)
    with pytest.raises(ValueError, match="digits"):
        Claim("x", 1.0, "a table", measured, digits=0.2, tolerance=0.1)
    with pytest.raises(ValueError, match="words"):
        Claim("x", "it holds", "a table", measured, tolerance=0.1)


def test_a_sentence_needs_a_measure_of_truth():
    with pytest.raises(TypeError, match="holds"):
        Claim("x", "it holds", "a table", measured).judged(runs(1.0))


def command(*arguments: object, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    given = [sys.executable, "-m", "papers", *map(str, arguments)]
    return subprocess.run(given, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def smoked(name: str, folder: pathlib.Path) -> None:
    """Every arm with every seed is in the record, and there are pictures."""
    paper = _paper.load(name)
    config = paper.config(smoke=True)
    record = RESULTS.load(folder)
    wanted = [(arm, seed) for arm in paper.arms(config) for seed in range(config.seeds)]
    assert [(run["arm"], run["seed"]) for run in record["runs"]] == wanted
    assert list(folder.glob("*.png"))


def run_here(name: str, config: Any, tasks: list[Task], workers: Workers) -> Iterator[Finished]:
    """As `run_all`, without a process of its own, whose start would take longer than most runs."""
    for task in tasks:
        name, config, task = pickle.loads(pickle.dumps((name, config, task)))
        yield pickle.loads(pickle.dumps(_pool.run(name, config, task, repr)))


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(_conduct, "run_all", run_here)
    monkeypatch.chdir(tmp_path)
    assert main(["run", name, "--smoke"]) == 0
    assert not capfd.readouterr().err  # no notes of TensorFlow's; warnings are errors
    smoked(name, tmp_path / "paper-results" / f"{name}-smoke")


def test_smoke_in_processes_of_their_own(tmp_path):
    done = command("run", CONTINUES, "--smoke", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # neither warnings nor TensorFlow's notes
    smoked(CONTINUES, tmp_path / "paper-results" / f"{CONTINUES}-smoke")


@pytest.mark.parametrize("name", NAMES)
def test_claims_name_their_source(name):
    claims = _paper.load(name).claims
    assert claims
    for claim in claims:
        assert claim.source
        assert "[MEM]" not in claim.source
        assert isinstance(claim.published, str) or claim.why, f"{claim.name}: a tolerance needs its reason"
    assert len({claim.name for claim in claims}) == len(claims)


@pytest.mark.parametrize("name", NAMES)
def test_committed_results_are_of_the_committed_sizes(name):
    paper = _paper.load(name)
    record = committed(paper)
    assert record is not None
    assert record["paper"] == name
    assert record["size"] == "paper"
    assert record["settings"] == json.loads(json.dumps(_paper.settings(paper.config(smoke=False))))
    assert all(picture.stat().st_size for picture in (paper.folder / COMMITTED).glob("*.png"))


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_has_deviations_and_working_links(name):
    text = (ROOT / "papers" / name / "README.md").read_text()
    assert "eviations" in text
    for target in [part.split(")")[0] for part in text.split("](")[1:]]:
        assert target.startswith("http") or (ROOT / "papers" / name / target.split("#")[0]).exists(), target


def test_the_table_is_that_of_the_committed_results():
    text = _table.README.read_text()
    assert _table.with_table(text, _table.table()) == text, "python -m papers table"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 128 + 15)])
def test_an_ended_run_ends_its_workers_and_goes_on(number, status, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    given = [sys.executable, "-m", "papers", "run", CONTINUES]
    record = tmp_path / "paper-results" / CONTINUES / RESULTS.record
    # The parent alone is told. The workers hold its outputs too, which therefore end when the last of them has ended.
    with subprocess.Popen(
        given, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 240
        while not (record.exists() and json.loads(record.read_text())["runs"]):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        told = process.communicate(timeout=240)[1]
    assert process.returncode == status
    kept = json.loads(record.read_text())["runs"]
    if number == signal.SIGTERM:
        assert told == f"papers: interrupted: {len(kept)} runs are kept in paper-results/{CONTINUES}; " + (
            "the same command goes on\n"
        )
        return
    done = command("run", CONTINUES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = json.loads(record.read_text())["runs"]
    assert len(after) == 4
    assert all(run in after for run in kept)
    assert "already" in done.stdout
    assert done.stdout.count(REPRODUCED) >= 6


class Dying:
    """Settings that end the process that receives them."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_worker_that_dies_is_a_one_line_error():
    with pytest.raises(UserError, match="a worker process has ended"), processes(1) as workers:
        list(run_all(CONTINUES, Dying(), [Task("xi = 0", 0)], workers))


def test_a_run_that_fails_ends_the_others(capfd):
    config = _paper.load(CONTINUES).config(smoke=True)
    tasks = [Task("xi = x", 0), *(Task("xi = 0", seed) for seed in range(9))]
    with pytest.raises(ValueError, match="could not convert"), processes(1) as workers:
        list(run_all(CONTINUES, config, tasks, workers))
    assert not capfd.readouterr().err  # no second traceback


RECORD: dict[str, Any] = {
    "format": 1,
    "paper": CONTINUES,
    "size": "smoke",
    "settings": _paper.settings(_paper.load(CONTINUES).config(smoke=True)),
    "seeds": 1,
    "versions": versions(),
    "created": "2026-01-01T00:00:00+00:00",
    "runs": [
        {"arm": "xi = 0", "seed": 0, "seconds": 1.0, "commit": None, "device": "CPU", "result": {"alpha": 1.0}},
    ],
}


def told_of(record, folder, capsys):
    """The one line that continuing and drawing the record end with."""
    (folder / RESULTS.record).write_text(record if isinstance(record, str) else json.dumps(record))
    said = []
    for given in (
        ["run", CONTINUES, "--smoke", "--output", str(folder)],
        ["plot", CONTINUES, "--results", str(folder)],
    ):
        assert main(given) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        said.append(err)
    return said


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"paper": "huber1964_location"},
        {"size": "big"},
        {"size": []},
        {"seeds": -1},
        {"seeds": 10**20},
        {"settings": []},
        {"versions": []},
        {"runs": [1]},
        {"runs": [{}]},
        {"runs": RECORD["runs"] * 2},
        {"runs": [{**RECORD["runs"][0], "arm": "xi = x"}]},
        {"runs": [{**RECORD["runs"][0], "seed": 1}]},
        {"runs": [{**RECORD["runs"][0], "result": None}]},
        {"runs": [{**RECORD["runs"][0], "device": 3}]},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_changed_record_is_a_one_line_error(change, tmp_path, capsys):
    assert all(RESULTS.record in said for said in told_of({**RECORD, **change}, tmp_path, capsys))


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"format": 1}', "NaN"], ids=lambda text: text[:9])
def test_a_file_that_is_no_record_is_a_one_line_error(text, tmp_path, capsys):
    assert all("is not a record" in said for said in told_of(text, tmp_path, capsys))


@pytest.mark.parametrize("change", [{"settings": {"steps": 3}}, {"versions": {"python": "2.7"}}])
def test_another_size_does_not_continue_a_record(change, tmp_path, capsys):
    RESULTS.save(tmp_path, {**RECORD, **change})
    assert main(["run", CONTINUES, "--smoke", "--output", str(tmp_path)]) == 2
    assert f"other {next(iter(change))}" in capsys.readouterr().err


def test_unusable_results_are_a_one_line_error(tmp_path, capsys):
    RESULTS.save(tmp_path, RECORD)  # without the path that is drawn
    assert main(["plot", CONTINUES, "--results", str(tmp_path)]) == 2
    assert "KeyError: 'path'" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--seeds", "0"], ["--seeds", "9" * 20], ["--jobs", "1000"], ["--output", ""]])
def test_invalid_numbers_and_paths_are_refused(given, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", CONTINUES, *given])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["run", "nobody1900"], "no paper 'nobody1900'"),
        (["run", ""], "several papers"),
        (["run", CONTINUES, "--arms", "x"], "no arm x"),
        (["run", "all", "--output", "x"], "of one paper"),
        (["plot", CONTINUES, "--results", "nowhere"], "holds no results.json"),
    ],
)
def test_mistakes_are_one_line_errors(given, said, capsys):
    assert main(given) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_papers_hold_no_library_code():
    """Nothing imports the papers, and a paper imports no other than the one that it continues."""
    for path in [*(ROOT / "blendloss").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert "papers" not in {
            line.split()[1].split(".")[0]
            for line in path.read_text().splitlines()
            if line.startswith(("import ", "from "))
        }, path
    for name in NAMES:
        for path in (ROOT / "papers" / name).glob("*.py"):
            known = (name, CONTINUED.get(name))
            others = [other for other in NAMES if other not in known and f"papers.{other}" in path.read_text()]
            assert not others, (path, others)


def test_every_paper_loads():
    for name in NAMES:
        assert importlib.import_module(f"papers.{name}").__doc__
