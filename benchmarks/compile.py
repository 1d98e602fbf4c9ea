"""What it takes to compile the blend, and what comes of it: counts that have no noise, beside two times that have."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import Any

from benchmarks import problems
from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject
from benchmarks.hlo import Module

PLAIN = "soft"


def _of(name: str) -> Any:
    return lambda facts, seconds: facts[name]


BENCHMARK = Benchmark(
    name="compile",
    about="time to trace and to compile, and size, bytes, flops and memory of the compiled program",
    axes=(
        Axis("losses", (1, 2, 4, 8, 16), "K, the number of losses", quick=(2,)),
        Axis("elements", (2**20,), "N, the number of residuals"),
        Axis("gate", (problems.VECTOR,), "one vector, or weights of each example", choices=("vector", "example")),
        Axis("width", (1,), "residuals of an example"),
        Axis("dtype", ("float32",), "of the predictions", choices=("float16", "bfloat16", "float32", "float64")),
    ),
    base=PLAIN,
    quantities=(
        Quantity("seconds to trace", _of("trace"), "{:.2f}"),
        Quantity("seconds to compile", _of("compile"), "{:.2f}"),
        Quantity("instructions", _of("instructions"), "{:.0f}"),
        Quantity("fusions", _of("fusions"), "{:.0f}"),
        Quantity("bytes over the least", _of("bytes over the least"), "{:.2f}"),
        Quantity("flops an element", lambda facts, _: facts["flops"] / facts["elements"], "{:.1f}"),
        Quantity("transcendentals an element", lambda facts, _: facts["transcendentals"] / facts["elements"], "{:.1f}"),
        Quantity("buffers as long as the predictions", _of("buffers"), "{:.0f}"),
        Quantity("bytes of temporaries an element", lambda facts, _: facts["peak"] / facts["elements"], "{:.1f}"),
    ),
    plots=(
        Plot("bytes over the least", "losses", log=False),
        Plot("instructions", "losses"),
        Plot("seconds to compile", "losses"),
    ),
    parts=(Part("benchmarks.compile"),),
    blocks=0,
    quick_arms=("hard, lazy",),
)

device = problems.device


def compiled(
    mode: str,
    losses: int,
    elements: int = 2**20,
    gate: str = problems.VECTOR,
    width: int = 1,
    dtype: str = "float32",
    gradients: bool = True,
    period: int | None = None,
    device: str = "cpu",
) -> tuple[Any, tuple[Any, ...], dict[str, int]]:
    """The blend as a function that XLA compiles, arguments for it, and the least bytes and the elements.

    The arguments repeat after `period` examples. The program is the one for `device`, which need not be here.
    """
    import tensorflow as tf

    chosen = problems.modes()[mode]()
    value = problems.blended(chosen, losses)
    function = problems.with_gradients(value, chosen.lazy) if gradients else value
    given = problems.inputs(elements, losses, gate, width, period)
    arguments = problems.tensors(given, dtype)
    least = problems.bytes_moved(given, arguments[1].dtype.size, gradients)

    def placed(*arguments: Any) -> Any:
        with tf.device(f"/{device}:0"):
            return function(*arguments)

    return tf.function(placed, jit_compile=True), arguments, {"elements": elements, "least": least}


def counts(mode: str, losses: int, **options: Any) -> dict[str, float]:
    """What the compiled program is made of; keywords as of `compiled`. The same in every run of one TensorFlow."""
    function, arguments, sizes = compiled(mode, losses, **options)
    return _counted(function, arguments, sizes)


def _counted(function: Any, arguments: tuple[Any, ...], sizes: dict[str, int]) -> dict[str, float]:
    module = Module(function.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo"))
    moved = module.bytes()
    return {
        "elements": sizes["elements"],
        "instructions": module.instructions,
        "fusions": module.fusions,
        "bytes": moved,
        "bytes over the least": moved / sizes["least"],
        "flops": module.flops(),
        "transcendentals": module.transcendentals(),
        "buffers": module.buffers(sizes["elements"] * arguments[1].dtype.size),
        "peak": module.peak(),
    }


@functools.cache
def _warm() -> None:
    """Does what the first blend and the first compilation of a process do once."""
    function, arguments, _ = compiled(PLAIN, 1, elements=16)
    function(*arguments)


def arms(case: dict[str, Any]) -> Iterable[str]:
    return problems.modes()


def build(case: dict[str, Any], arm: str) -> Subject:
    _warm()
    function, arguments, sizes = compiled(arm, **case)
    start = time.perf_counter()
    function.get_concrete_function(*arguments)
    traced = time.perf_counter()
    function(*arguments)
    ran = time.perf_counter()
    function(*arguments)
    again = time.perf_counter() - ran
    times = {"trace": traced - start, "compile": ran - traced - again}
    return Subject(facts={**times, **_counted(function, arguments, sizes)})
