"""Each benchmark from the command line to the report, with sizes that are over at once."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import SUITE, problems, replay
from benchmarks.__main__ import main
from benchmarks.harness import conduct
from benchmarks.harness.benchmark import AGAIN, Benchmark, load
from benchmarks.harness.conduct import PEERS
from benchmarks.harness.store import SAMPLES, read
from benchmarks.harness.worker import Worker
from benchmarks.peers.mathematics import FORMULAS

#: The tiniest case of each, and its arms beside the base.
TINY: dict[str, tuple[list[str], list[str]]] = {
    "throughput": (["--losses", "2", "--elements", "2^10", "--gate", "example"], ["hard, lazy"]),
    "step": (["--network", "convolutional", "--batch", "4", "--execution", "graph"], ["scheduled, soft"]),
    "switch": (["--execution", "graph", "--batch", "8"], ["blendloss, hard switch", "Python `if`"]),
    "compile": (["--losses", "2", "--elements", "2^10"], ["hard, lazy"]),
    "peers": (["--losses", "4", "--elements", "2^10"], ["Keras, XLA"]),
    "designs": (["--losses", "2", "--elements", "2^16"], ["4 parts, stacked", "loop over 2^16"]),
    "gates": (["--losses", "2", "--batch", "8", "--execution", "graph"], ["Fixed"]),
    "workers": (["--workers", "2", "--width", "16"], ["GradNorm"]),
    "replay": (["--losses", "2", "--elements", "2^13", "2^14"], ["annealed, Gumbel"]),
}

#: Facts of some arms. The network has 1,635 weights; GradNorm exchanges three gradients of its last layer, too, and the
#: sums and numbers of three losses.
FACTS = {
    ("workers", "plain sum"): {"collectives": 1, "bytes": 4 * 1635},
    ("workers", "GradNorm"): {"collectives": 3, "bytes": 4 * (1635 + 3 * 272 + 6)},
}


def test_every_benchmark_has_a_tiny_case() -> None:
    assert tuple(TINY) == SUITE


class Here:
    """A worker in this process, as a fresh one takes seconds to import TensorFlow; what fails is raised as it is."""

    def __init__(self, python: pathlib.Path | str, timeout: float) -> None:
        self._worker = Worker()

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(json.dumps(getattr(self._worker, do)(**arguments), allow_nan=False))
        return answer


def run(name: str, folder: pathlib.Path) -> list[dict[str, Any]]:
    """The records of the tiny case."""
    options, arms = TINY[name]
    quick = ["--quick", "--blocks", "2", "--milliseconds", "1"]
    assert main([name, *quick, *options, "--output", str(folder), "--arms", *arms]) == 0
    return read(folder / SAMPLES)


with_peers = pytest.mark.skipif(not PEERS.exists(), reason="the peers are not installed: make peers")


@pytest.mark.parametrize("name", [name for name in SUITE if name != "replay"])
def test_every_benchmark_runs(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conduct, "PEERS", tmp_path / "nowhere")
    if name != "workers":  # which stands for all where the worker is a process of its own
        monkeypatch.setattr(conduct, "Remote", Here)
    benchmark = load(name)
    (record,) = run(name, tmp_path)
    events: dict[str, set[str]] = {"failed": set(), "built": set(), "time": set()}
    for sample in record["samples"]:
        events[sample["event"]].add(sample["arm"])
        if sample["event"] == "built":
            assert FACTS.get((name, sample["arm"]), {}).items() <= sample["facts"].items()
    built = {benchmark.base, benchmark.base + AGAIN, *TINY[name][1]}
    assert events == {"failed": set(), "built": built, "time": built if benchmark.blocks else set()}
    report = (tmp_path / "report.md").read_text()
    assert all(f"| {arm} | " in report for arm in built)
    screen = capfd.readouterr()
    assert "oneDNN" not in screen.err  # TensorFlow's notes are not for the user
    assert ("`make peers` installs them" in screen.out) == (name == "peers")


@with_peers
def test_the_peers_compute_the_same(tmp_path: pathlib.Path) -> None:
    options = ["--losses", "8", "--elements", "2^10", "--dtype", "float32", "float64", "--blocks", "1"]
    assert main(["peers", "--quick", *options, "--output", str(tmp_path), "--arms", "torch, eager", "jax.jit"]) == 0


@pytest.mark.parametrize("name", SUITE)
def test_plots_and_axes_of_a_benchmark_fit_together(name: str) -> None:
    benchmark = load(name)
    axes = {axis.name: axis for axis in benchmark.axes}
    quantities = {quantity.name for quantity in benchmark.quantities}
    for plot in benchmark.plots:
        assert plot.quantity in quantities
        assert plot.against in axes
    for axis in axes.values():
        assert axis.choices is None or {*axis.values, *axis.quick} <= set(axis.choices)
    assert all((importlib.util.find_spec(part.module)) for part in benchmark.parts if not part.peers)


@pytest.mark.parametrize("name", ["throughput", "compile", "switch", "step", "gates", "workers", "peers"])
def test_a_benchmark_has_the_arms_that_it_names(name: str) -> None:
    benchmark: Benchmark = load(name)
    case = {axis.name: axis.values[0] for axis in benchmark.axes}
    arms = list(importlib.import_module(benchmark.parts[0].module).arms(case))
    assert {benchmark.base, *benchmark.quick_arms, *benchmark.roofs} <= set(arms)
    assert len(arms) == len(set(arms))


# What is computed


@pytest.mark.parametrize("losses", range(1, problems.MOST + 1))
def test_there_are_losses_for_every_k(losses: int) -> None:
    assert len(problems.penalties(losses)) == losses


@pytest.mark.parametrize("name", FORMULAS)
def test_the_peers_formulas_are_our_penalties(name: str) -> None:
    residual = np.linspace(-5, 5, 101)
    penalty = problems.penalties(len(FORMULAS))[name]
    # The formulas cancel near 0, by some roundings of 1.
    np.testing.assert_allclose(FORMULAS[name](np, residual), penalty.value(residual), rtol=1e-14, atol=1e-15)


def test_inputs_repeat() -> None:
    given = problems.inputs(2**12, 3, problems.EXAMPLE, width=2, period=2**9)
    assert [array.shape for array in given] == [(2048, 2), (2048, 2), (2048, 3)]
    assert all(np.array_equal(array[:512], array[512 * i : 512 * (i + 1)]) for array in given for i in range(4))
    assert problems.bytes_moved(given, 4, gradients=True) == 4 * (2 * 4096 + 3 * 2048 + 4096 + 3 * 2048)


# Replay


def has_stablehlo() -> bool:
    """Whether this TensorFlow gives StableHLO; 2.18 does not."""
    identity = tf.function(lambda x: x, jit_compile=True)
    try:
        identity.experimental_get_compiler_ir(tf.zeros([2]))(stage="stablehlo")
    except ValueError as error:
        assert "Invalid stage" in str(error)
        return False
    return True


exports = pytest.mark.skipif("not has_stablehlo()", reason="this TensorFlow gives no StableHLO")


@exports
def test_programs_are_exported_whole(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "Remote", Here)
    run("replay", tmp_path)
    programs = [json.loads(path.read_text()) for path in (tmp_path / "replay").glob("*/program.json")]
    assert {program["arm"] for program in programs} == {"soft", "annealed, Gumbel"}
    for program in programs:
        size = program["case"]["elements"]
        assert [one["shape"] for one in program["inputs"]] == [[size, 1], [size, 1], [2], []]
        assert [one["shape"] for one in program["results"]] == [[], [size, 1], [2]]
    for path in (tmp_path / "replay").glob("*/program.mlir"):
        assert "stablehlo.add" in path.read_text()


@exports
@with_peers
def test_programs_run_under_jax(tmp_path: pathlib.Path) -> None:
    run("replay", tmp_path)
    options = ["--processes", "1", "--blocks", "2", "--milliseconds", "1"]
    subprocess.run([PEERS, tmp_path / "replay" / "run.py", *options], check=True, capture_output=True)
    times = tmp_path / "replay" / "times"
    records = read(times / SAMPLES)
    assert [record["case"]["elements"] for record in records] == [2**13, 2**14]
    for record in records:
        assert {sample["event"] for sample in record["samples"]} == {"built", "time"}
        assert record["commit"]
    assert main(["report", str(times)]) == 0
    assert "| copy | 100% |" in (times / "report.md").read_text()


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        pytest.param("[" * 100_000, "nested too deeply", id="nested too deeply"),
        ("null", "line 1 must be an object"),
        ('{"case": {}, "process": 0}', "samples must be a list"),
        ('{"case": {}, "process": 0, "samples": [{"arm": "soft"}]}', "event must be a string"),
        ('{"case": {}, "process": NaN, "samples": []}', "NaN"),
    ],
)
def test_a_replay_goes_on_with_samples_alone(samples: str, said: str, tmp_path: pathlib.Path) -> None:
    program = {"arm": "soft", "case": {"losses": 2}, "commit": None, "facts": {}}
    replay.write(tmp_path, program, "module {}", [], [])
    (tmp_path / "times").mkdir()
    (tmp_path / "times" / SAMPLES).write_text(samples)
    given = [sys.executable, str(tmp_path / "run.py")]
    for options, told in ((["--resume"], said), ([], "is there already"), (["--blocks", "0"], "from 1 to 100000")):
        ran = subprocess.run([*given, *options], capture_output=True, text=True, timeout=100, check=False)
        assert ran.returncode == 2
        assert told in ran.stderr.splitlines()[-1]


def test_results_that_differ_are_refused() -> None:
    from benchmarks.replay.run import compare, whole

    of = {"shape": [7, 1], "dtype": "float32"}
    period = np.array([[1.0], [2.0], [3.0]], np.float32)
    found = whole(period, of)
    assert found.dtype == np.float32
    assert found[:, 0].tolist() == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]
    compare(found, period, of)
    found[4] += 0.01  # in the second period
    with pytest.raises(ValueError, match="differs by 3.3e-03"):
        compare(found, period, of)
    found[4] = np.nan
    with pytest.raises(ValueError, match="differs by nan"):
        compare(found, period, of)
    half = whole(np.float32(0.1), {"shape": [], "dtype": "bfloat16"})
    assert half.dtype.name == "bfloat16"
