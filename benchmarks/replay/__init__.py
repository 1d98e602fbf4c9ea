"""The exact programs of the blend, for machines that have JAX and no TensorFlow.

`python -m benchmarks replay --export DIR` writes the StableHLO of each mode (value and gradients), its inputs and its
results into `DIR/replay`, with a `run.py` that needs JAX and NumPy alone.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import console, hlo, problems
from benchmarks.bandwidth import COPY, GIGABYTES, SHARE
from benchmarks.compile import compiled
from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject, blocks
from benchmarks.harness.benchmark import MILLISECONDS
from benchmarks.harness.surroundings import commit

#: The inputs repeat after so many examples, so that inputs and results are short files, whatever N.
PERIOD = 1 << 12

BENCHMARK = Benchmark(
    name="replay",
    about="exports each mode's StableHLO, to be checked and timed by JAX on another machine",
    axes=(
        Axis("losses", (1, 2, 4, 8, 16), "K, the number of losses", quick=(2,)),
        Axis("elements", (2**22, 2**26), "N, the number of residuals", quick=(2**16,)),
        Axis("gate", (problems.VECTOR,), "one vector, or weights of each example", choices=("vector", "example")),
        Axis("width", (1,), "residuals of an example"),
        Axis("dtype", ("float32",), "of the predictions", choices=("float16", "bfloat16", "float32", "float64")),
        Axis("device", ("gpu",), "which of the blend's programs", choices=("gpu", "cpu")),
    ),
    base="soft",
    quantities=(
        MILLISECONDS,
        GIGABYTES,
        SHARE,
        Quantity("bytes accessed over the least", lambda facts, _: facts["bytes accessed"] / facts["bytes"], "{:.2f}"),
        Quantity("temporary bytes an element", lambda facts, _: facts["temporary"] / facts["elements"], "{:.1f}"),
    ),
    plots=(
        Plot("GB/s", "losses", roof=COPY),
        Plot("GB/s", "elements", roof=COPY),
        Plot("bytes accessed over the least", "losses", log=False),
    ),
    parts=(Part("benchmarks.replay"),),
    blocks=0,
    processes=1,
    paired=False,
    quick_arms=("annealed, Gumbel", "hard, lazy"),
)

device = problems.device


def arms(case: dict[str, Any]) -> Iterable[str]:
    return problems.modes()


def build(case: dict[str, Any], arm: str) -> Subject:
    def save(folder: Path) -> None:
        function, arguments, sizes = compiled(arm, **case, period=PERIOD)
        text = function.experimental_get_compiler_ir(*arguments)(stage="stablehlo")
        results = [np.asarray(result) for result in function(*arguments)]
        facts = {"elements": sizes["elements"], "bytes": sizes["least"]}
        program = {"case": case, "arm": arm, "commit": commit(), "facts": facts}
        write(folder / "replay", program, text, [np.asarray(one) for one in arguments], results)

    return Subject(save=save)


def write(folder: Path, program: dict[str, Any], text: str, arguments: list[Any], results: list[Any]) -> None:
    """A program with one period of its inputs and results, and what runs it."""
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(map(str, (program["arm"], *program["case"].values()))).lower())
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "program.mlir").write_text(text)
    for kind, arrays in (("inputs", arguments), ("results", results)):
        shapes = [list(array.shape) for array in arrays]
        np.savez_compressed(place / f"{kind}.npz", *[_storable(_period(array)) for array in arrays])
        program[kind] = [{"shape": s, "dtype": str(a.dtype)} for s, a in zip(shapes, arrays, strict=True)]
    (place / "program.json").write_text(json.dumps(program, indent=1))
    shutil.copy(Path(__file__).with_name("run.py"), folder)
    shutil.copy(blocks.__file__, folder)
    shutil.copy(hlo.__file__, folder)
    (folder / "console").mkdir(exist_ok=True)
    for part in ("errors", "guard", "results", "strict_json"):
        shutil.copy(Path(console.__path__[0]) / f"{part}.py", folder / "console")


def _period(array: np.ndarray) -> np.ndarray:
    """The part that repeats."""
    return array[:PERIOD] if array.ndim > 1 else array


def _storable(array: np.ndarray) -> np.ndarray:
    """NumPy's files know no bfloat16."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
