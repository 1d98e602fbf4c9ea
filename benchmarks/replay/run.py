"""Runs exported programs with JAX: `python run.py [DIR]`. Needs JAX and NumPy, and what else is beside the programs.

Compiles each on the device that JAX finds, checks its results against the exporter's, times all of a case block by
block in random order beside a copy, in fresh processes, and writes `samples.jsonl`, which `python -m benchmarks report`
reads. With `--target FILE`, a description of a GPU as XLA's source has them, the programs are compiled for that GPU,
which need not be here, and their bytes are counted; nothing runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

AGAIN = " (A/A)"
BASE, COPY = "soft", "copy"
#: Largest difference from the exporter's results, relative to the largest element: devices sum in different orders.
TOLERANCES = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 2e-2, "float16": 2e-3}
SMALLEST = 1 << 28


def count(text: str) -> int:
    """A whole number from 1 to 100,000."""
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 100000. Received: {text[:40]!r}")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="what was exported")
    parser.add_argument("--output", type=Path, help="folder for samples.jsonl (FOLDER/times, or counts)")
    parser.add_argument("--processes", type=count, default=3, help="fresh processes for each case (3)")
    parser.add_argument("--blocks", type=count, default=12, help="times that each program is timed in a process (12)")
    parser.add_argument("--milliseconds", type=count, default=50, help="of a block, about (50)")
    parser.add_argument("--target", type=Path, help="of a GPU that need not be here: count, do not run")
    parser.add_argument("--resume", action="store_true", help="go on with the samples that --output holds")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, str(given.folder))
    from console.guard import guarded

    if given.job:
        threading.Thread(target=end_with_parent, daemon=True).start()
        print(json.dumps(measure(given.folder, given, **json.loads(given.job)), allow_nan=False))
        return 0
    return guarded("replay", lambda: conduct(given))


def end_with_parent() -> None:
    """Ends this process when its stdin closes, of which the parent alone holds the other end."""
    sys.stdin.read()
    os._exit(1)


def conduct(given: argparse.Namespace) -> int:
    """A fresh process for each case and repetition."""
    from console.errors import UserError
    from console.results import replace

    counting = given.target is not None
    path = (given.output or given.folder / ("counts" if counting else "times")) / "samples.jsonl"
    if path.exists() and not given.resume:
        raise UserError(f"{path} is there already: go on with --resume, or choose another --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    held = kept(path) if path.exists() else []
    found = [program["case"] for program, _ in programs(given.folder)]
    cases = {json.dumps(case): None for case in sorted(found, key=lambda case: list(case.values()))}
    if not cases:
        raise UserError(f"{given.folder} holds no programs")
    jobs = [(json.loads(case), process) for process in range(1 if counting else given.processes) for case in cases]
    failed = 0
    for number, (case, process) in enumerate(jobs, 1):
        if not any(record["case"] == case and record["process"] == process for record in held):
            print(f"{number}/{len(jobs)}", *(f"{name} {value}" for name, value in case.items()), file=sys.stderr)
            job = json.dumps({"case": case, "process": process})
            lifeline, held_here = os.pipe()  # closed however this process ends
            try:
                ran = subprocess.run(
                    [sys.executable, __file__, *sys.argv[1:], "--job", job],
                    stdin=lifeline,
                    capture_output=True,
                    text=True,
                )
            finally:
                os.close(lifeline)
                os.close(held_here)
            if ran.returncode:
                print(f"the process ended with {ran.returncode}: {ran.stderr[-1000:]}", file=sys.stderr)
                return 1
            held.append(json.loads(ran.stdout.splitlines()[-1]))
            lines = "".join(json.dumps(record) + "\n" for record in held)
            replace(path, lambda place, lines=lines: place.write_text(lines))
    for record in held:
        for sample in record["samples"]:
            if sample["event"] == "failed":
                failed += 1
                print(f"failed: {sample['arm']} {record['case']}: {sample['error']}", file=sys.stderr)
    print(path)
    return int(failed > 0)


def kept(path: Path) -> list[dict[str, Any]]:
    """The records in the file, as far as they are read here: `python -m benchmarks report` reads them whole."""
    from console.errors import UserError
    from console.strict_json import ANYTHING, TEXT, check, parse, read_text, whole

    form = {"case": {...: ANYTHING}, "process": whole(0, 1 << 53), "samples": [{...: ANYTHING}]}
    try:
        records = [parse(line) for line in read_text(path).splitlines()]
        for number, record in enumerate(records, 1):
            check(record, {...: ANYTHING}, f"line {number}")
            check({name: record.get(name) for name in form}, form, f"line {number}")
            for sample in record["samples"]:
                failed = {"arm": TEXT, "error": TEXT} if sample.get("event") == "failed" else {"arm": TEXT}
                check({name: sample.get(name) for name in failed}, failed, f"line {number}: a sample")
                check(sample.get("event"), TEXT, f"line {number}: an event")
    except ValueError as error:
        raise UserError(f"{path} holds no samples: {error}") from error
    return records


def programs(folder: Path) -> list[tuple[dict[str, Any], Path]]:
    found = [(json.loads(path.read_text()), path.parent) for path in sorted(folder.glob("*/program.json"))]
    return sorted(found, key=lambda one: one[0]["arm"] != BASE)


def measure(folder: Path, given: argparse.Namespace, case: dict[str, Any], process: int) -> dict[str, Any]:
    """The record of one case in this process."""
    import jax
    from blocks import interleaved

    jax.config.update("jax_enable_x64", True)
    load = os.getloadavg()[0]
    target = None if given.target is None else gpu(given.target.read_text())
    builders: dict[str, Any] = {COPY: copy} if target is None else {}
    exporter = None
    for program, place in programs(folder):
        if program["case"] == case:
            exporter = program["commit"]
            builders[program["arm"]] = partial(build, program, place, target)
    if BASE in builders and target is None:
        builders[BASE + AGAIN] = builders[BASE]
    runs, samples = built(builders)
    samples += interleaved(runs, given.blocks, given.milliseconds / 1e3, seed=process)
    versions = {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy")}
    device = f"{jax.default_backend()}: {jax.devices()[0].device_kind}"
    if target is not None:
        device = f"compiled for {target.device_kind}, not run"
    return {
        "format": 1,
        "benchmark": "replay",
        "case": case,
        "process": process,
        "processor": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "usable cores": os.cpu_count(),
        "platform": platform.platform(),
        "commit": exporter,
        "flags": {"XLA_FLAGS": os.environ.get("XLA_FLAGS")},
        "settings": {"blocks": given.blocks, "milliseconds": given.milliseconds},
        "load": load,
        "workers": {"replay": {"versions": {"python": platform.python_version(), **versions}, "device": device}},
        "samples": samples,
    }


def built(builders: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What can be timed, by arm, and a sample for each that was built, or failed."""
    runs: dict[str, Any] = {}
    samples: list[dict[str, Any]] = []
    for arm, builder in builders.items():
        start = time.perf_counter()
        try:
            call, facts = builder()
            if call:
                runs[arm] = timed(call)
                runs[arm](3)
        except Exception as error:
            runs.pop(arm, None)
            samples.append({"event": "failed", "arm": arm, "error": f"{type(error).__name__}: {error}"[:500]})
            continue
        samples.append({"event": "built", "arm": arm, "seconds": time.perf_counter() - start, "facts": facts})
    return runs, samples


def timed(call: Any) -> Any:
    """`call` as `interleaved` wants it."""
    import jax

    def run(calls: int) -> dict[str, float]:
        start = time.perf_counter()
        for _ in range(calls):
            latest = call()
        jax.block_until_ready(latest)
        return {"seconds": time.perf_counter() - start}

    return run


def gpu(description: str) -> Any:
    """The GPU, to compile for."""
    from jax.experimental import topologies

    return topologies.get_topology_desc("described", "cuda", target_config=description, topology="1x1x1").devices[0]


def counted(program: dict[str, Any], place: Path, target: Any) -> dict[str, Any]:
    """The facts of a program that is compiled for a GPU that is not here."""
    from hlo import Module
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax._src.lib.mlir import ir

    with mlir.make_ir_context():
        module = ir.Module.parse((place / "program.mlir").read_text())
        devices = xla_client.DeviceList((target,))
        executable = target.client.compile(module, devices, compile_options=xla_client.CompileOptions())
    return {**program["facts"], "bytes accessed": Module(executable.hlo_modules()[0].to_string()).bytes()}


def build(program: dict[str, Any], place: Path, target: Any = None) -> tuple[Any, dict[str, Any]]:
    """The compiled program as a function of nothing, checked, or None where it is for a `target`; and its facts."""
    if target is not None:
        return None, counted(program, place, target)
    import jax
    import numpy as np
    from jax._src.lib import xla_client
    from jax.extend import backend

    client = backend.get_backend()
    device = client.local_devices()[0]
    text = (place / "program.mlir").read_text()
    executable = client.compile_and_load(text, xla_client.DeviceList((device,)), xla_client.CompileOptions())
    with np.load(place / "inputs.npz") as held:
        inputs = [jax.device_put(whole(held[f"arr_{i}"], of), device) for i, of in enumerate(program["inputs"])]
    results = executable.execute(inputs)
    with np.load(place / "results.npz") as held:
        for i, of in enumerate(program["results"]):
            compare(np.asarray(results[i]), held[f"arr_{i}"], of)
    del results
    facts = dict(program["facts"])
    cost = executable.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    facts |= {name: cost[name] for name in ("bytes accessed", "flops") if name in cost}
    facts["temporary"] = executable.get_compiled_memory_stats().temp_size_in_bytes
    return lambda: executable.execute(inputs), facts


def whole(period: Any, of: dict[str, Any]) -> Any:
    """An array of which `period` repeats along the first axis."""
    import ml_dtypes  # noqa: F401  gives NumPy the name bfloat16
    import numpy as np

    repeats = -(-of["shape"][0] // len(period)) if of["shape"] else 1
    array = np.concatenate([period] * repeats)[: of["shape"][0]] if repeats > 1 else period
    return array.astype(np.dtype(of["dtype"]))


def compare(found: Any, period: Any, of: dict[str, Any]) -> None:
    """Raises unless every period of the result is the exporter's."""
    import numpy as np

    expected = whole(period, of).astype(np.float64)
    largest = np.max(np.abs(expected)) or 1.0
    error = float(np.max(np.abs(found.astype(np.float64) - expected)) / largest)
    if not error <= TOLERANCES[of["dtype"]]:
        raise ValueError(f"a result of shape {of['shape']} differs by {error:.1e}, more than {TOLERANCES[of['dtype']]}")


def copy() -> tuple[Any, dict[str, Any]]:
    """Reads and writes an array that no cache holds, in place: each byte counts twice, and no write-allocate occurs."""
    import jax
    import jax.numpy as jnp

    negated = jax.jit(lambda array: -array, donate_argnums=0)
    held = [jnp.ones(SMALLEST // 4, jnp.float32)]

    def call() -> Any:
        held[0] = negated(held[0])
        return held[0]

    return call, {"bytes": 2 * SMALLEST}


if __name__ == "__main__":
    sys.exit(main())
