"""Papers on a Dask cluster: the same records, workers that are killed, other versions, shared cores."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import dask
import pytest
from distributed import Client, KilledWorker

from blendloss.console.errors import UserError
from papers import _cluster, _conduct, _paper, _pool
from papers.__main__ import main
from papers._cluster import Cluster, cluster
from papers._code import SOURCES, digest, fingerprint
from papers._pool import Finished, Part, Task, Workers, run_all, usable_cores
from papers._record import RESULTS
from papers._scale import SCALE

ROOT = pathlib.Path(__file__).parents[2]
#: With random numbers, a network and Adam.
TRAINS = "wang2021_pinn"
TOY = "liu2019_darts"
CONFIG = _paper.load(TOY).config(smoke=True)
#: How many workers a run may end and still be repeated; Dask's default is 3.
FAILURES = 1


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a cluster with two workers, shared by all tests, as each new worker imports TensorFlow."""
    with dask.config.set({"distributed.scheduler.allowed-failures": FAILURES}), _cluster.started(2) as client:
        yield client


@pytest.fixture
def address(client: Client) -> str:
    return client.scheduler_info()["address"]


@pytest.fixture
def workers(address: str) -> Iterator[Any]:
    with cluster(address)() as found:
        yield found


def run_here(name: str, config: Any, tasks: list[Task], workers: Workers) -> Iterator[Finished]:
    for task in tasks:
        yield _pool.run(name, config, task, repr)


def record(folder: pathlib.Path, *options: str) -> dict[str, Any]:
    """What a run leaves, without times."""
    assert main(["run", TRAINS, "--smoke", "--output", str(folder), *options]) == 0
    found: dict[str, Any] = json.loads((folder / RESULTS.record).read_text())
    for timed in (found, *found["runs"]):
        assert timed.pop("seconds") > 0
    del found["created"]
    return found


def test_records_are_those_of_a_local_run(address, client, tmp_path, monkeypatch, capfd):
    there = record(tmp_path / "there", "--cluster", address)
    out, err = capfd.readouterr()
    assert not err
    assert f"cluster {address}, workers: 2, dashboard: http://127.0.0.1:" in " ".join(out.split())
    threads = client.run(lambda: __import__("tensorflow").config.threading.get_intra_op_parallelism_threads())
    assert set(threads.values()) == {max(1, len(usable_cores()) // 2)}
    scheduler = tmp_path / "scheduler.json"
    scheduler.write_text(json.dumps({"address": address}))
    assert record(tmp_path / "there", "--cluster", str(scheduler)) == there  # which has nothing left to run
    assert "2 of 2 runs are in" in capfd.readouterr().out
    monkeypatch.setattr(_conduct, "run_all", run_here)
    assert record(tmp_path / "here") == there


def test_a_killed_worker_costs_its_run_alone(client, workers, monkeypatch):
    pids = client.run(os.getpid)
    killed: list[Task] = []

    def parts() -> Iterator[Any]:
        for part in Cluster.parts(workers):
            if not killed:
                [place] = [place for place, task in workers._latest.items() if task == part.task]
                killed.append(part.task)
                os.kill(pids[place], signal.SIGKILL)
            yield part

    monkeypatch.setattr(workers, "parts", parts)
    tasks = [Task("xi = 0.5", seed) for seed in range(3)]
    found = list(run_all(TOY, CONFIG, tasks, workers))
    assert len(killed) == 1
    assert found.count(Part(killed[0], 0.0)) == 2
    assert sum(part.part == 0 for part in found if isinstance(part, Part)) == 4
    assert sorted(one.task.seed for one in found if isinstance(one, Finished)) == [0, 1, 2]


def test_other_versions_are_refused(workers, monkeypatch):
    for name in ("numpy", "tensorflow", "keras", SOURCES):
        other = {**fingerprint(), name: "0.0"}
        monkeypatch.setattr(_cluster, "fingerprint", lambda other=other: other)
        said = rf"the worker tcp://\S+ runs another version \({name}: 0.0 here, {fingerprint()[name]} there\)"
        with pytest.raises(UserError, match=said):
            list(run_all(TOY, None, [Task("xi = 0", 0)], workers))


def test_every_source_file_counts(tmp_path):
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    first, second = folder / "a.py", folder / "inner" / "b.py"
    digests = set()
    for change in (
        lambda: first.write_text("x = 1"),
        lambda: second.write_text("x = 1"),
        lambda: second.write_text("x = 2"),
        lambda: second.rename(folder / "b.py"),
        lambda: (folder / "b.py").unlink(),
    ):
        change()
        digests.add(digest(folder))
    assert len(digests) == 4  # the last is the first
    (folder / "results.json").write_text("{}")
    assert digest(folder) in digests


def test_a_worker_that_runs_several_at_a_time_is_refused(client, workers):
    def give(threads: int, dask_worker: Any = None) -> None:
        dask_worker.state.nthreads = threads

    client.run(give, 3)
    with pytest.raises(UserError, match="runs 3 tasks at a time, which would share seeds: start it with --nthreads 1"):
        list(run_all(TOY, CONFIG, [Task("xi = 0", 0)], workers))
    client.run(give, 1)


def test_scale_measures_each_number_of_workers(address, tmp_path, capsys):
    given = ["scale", TRAINS, "--smoke", "--cluster", address, "--output", str(tmp_path)]
    assert main([*given, "--workers", "1", "2", "--runs", "4"]) == 0
    rows = json.loads((tmp_path / SCALE.record).read_text())["measured"]
    assert [row["workers"] for row in rows] == [1, 2]
    assert all(row["runs an hour"] > 0 and row["runs"] == 4 for row in rows)
    printed = capsys.readouterr().out
    assert all(f"{row['runs an hour']:,.0f}" in printed for row in rows)
    assert main([*given, "--workers", "3", "--runs", "6"]) == 2
    assert "has 2 workers, fewer than 3" in capsys.readouterr().err
    with cluster(address, 1)() as workers:
        places = set()
        for _ in run_all(TOY, CONFIG, [Task("xi = 0", seed) for seed in range(3)], workers):
            places |= set(workers._latest)
        assert len(places) == 1


def test_a_run_that_nobody_waits_for_ends(client, address):
    config = dataclasses.replace(_paper.load(TRAINS).config(smoke=True), steps=10**9)

    def running() -> int:
        return sum(client.run(lambda dask_worker: len(dask_worker.active_threads)).values())

    with cluster(address)() as workers:
        for found in run_all(TRAINS, config, [Task("1x8 equal", 0)], workers):
            assert isinstance(found, Part)
            if found.part:
                break
        assert running() == 1
    until = time.monotonic() + 60
    while running():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_what_waits_on_a_worker_that_is_killed_is_repeated(workers):
    waits, runs = Task("waits", 0), Task("runs", 0)
    lost: Future[Finished] = Future()
    place = SimpleNamespace(address="tcp://there:1")
    lost.set_exception(KilledWorker("key", place, FAILURES))
    workers._latest[place.address] = runs
    assert workers.outcome(waits, lost) is None
    with pytest.raises(UserError, match="'runs' with seed 0"):
        workers.outcome(runs, lost)
    done: Future[Finished] = Future()
    done.set_result(Finished(runs, {}, 1.0, ""))
    assert workers.outcome(runs, done) == done.result()
    with pytest.raises(UserError, match="'waits' with seed 0"):  # nothing ran before it there
        workers.outcome(waits, lost)


def test_a_worker_without_the_package_is_a_one_line_error(workers, monkeypatch):
    monkeypatch.setattr(_cluster._Call, "__reduce__", lambda call: (importlib.import_module, ("papers.nowhere",)))
    with pytest.raises(UserError, match="a worker has no module papers.nowhere: start workers in this checkout"):
        list(run_all(TOY, CONFIG, [Task("xi = 0", 0)], workers))


def test_a_lost_scheduler_is_a_one_line_error(workers):
    lost: Future[Finished] = Future()
    lost.cancel()
    with pytest.raises(UserError, match="scheduler is gone; finished runs are kept"):
        workers.outcome(Task("arm", 0), lost)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("local:0", "the number of workers in --cluster local:N must be from 1 to 64. Received: 0"),
        ("local:two", "must be a whole number. Received: 'two'"),
        ("nowhere.json", "or a scheduler's file. Received: 'nowhere.json' (No such file or directory)"),
        (str(ROOT / "setup.cfg"), "setup.cfg' (Expecting value"),
        ("tcp://127.0.0.1:9", "no scheduler answers at tcp://127.0.0.1:9"),
        ("tls://127.0.0.1:9", "needs Dask's settings of TLS"),
        ("http://127.0.0.1:9", "no scheduler answers at http://127.0.0.1:9"),
    ],
    ids=["none", "word", "no-file", "no-json", "tcp", "tls", "http"],
)
def test_an_invalid_cluster_is_a_one_line_error(where, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_cluster, "_SECONDS_TO_CONNECT", 0.3)
    assert main(["run", TOY, "--smoke", "--output", str(tmp_path), "--cluster", where]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_local_cluster_ends_with_its_killed_parent(tmp_path):
    program = "from papers.__main__ import main; import sys; sys.exit(main())"
    given = ["run", TRAINS, "--smoke", "--cluster", "local:1", "--output", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *given],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        [about] = itertools.islice((line for line in process.stdout if "cluster tcp://127.0.0.1:" in line), 1)
        assert "workers: 1, dashboard: http://127.0.0.1:" in about
        assert ("pip install bokeh" in about) == (importlib.util.find_spec("bokeh") is None)
        process.kill()
        # The workers hold these outputs, too, which therefore end when the last of them has ended.
        process.communicate(timeout=60)


def test_an_interruption_at_the_keyboard_is_for_the_parent(client):
    pids = client.run(os.getpid)
    for pid in pids.values():
        os.kill(pid, signal.SIGINT)
    assert all(signal.SIGINT in mask for mask in client.run(signal.pthread_sigmask, signal.SIG_BLOCK, []).values())
    assert client.run(os.getpid) == pids


class Dying:
    """Settings that end the process that receives them."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_run_that_ends_its_workers_is_named(workers):
    with pytest.raises(UserError, match="the run of 'xi = 0' with seed 7 has ended 2 workers, perhaps for want of mem"):
        list(run_all(TOY, Dying(), [Task("xi = 0", 7)], workers))
