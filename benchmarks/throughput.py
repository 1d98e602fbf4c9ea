"""How fast the blend is: elements and bytes a second of the value, and of the value with its gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks import problems
from benchmarks.bandwidth import COPY, GIGABYTES, SHARE, copy
from benchmarks.harness import Axis, Benchmark, Part, Plot, Quantity, Subject
from benchmarks.harness.benchmark import MILLISECONDS

#: The value alone; or with its gradients in predictions and logits, as a training step needs them.
VALUE, GRADIENTS = "value", "gradients"


BENCHMARK = Benchmark(
    name="throughput",
    about="elements/s and GB/s of the blend and its gradients, for every mode",
    axes=(
        Axis("losses", (1, 2, 4, 8, 16), "K, the number of losses", quick=(2,)),
        Axis("elements", (2**22,), "N, the number of residuals", quick=(2**16,)),
        Axis("gate", (problems.VECTOR, problems.EXAMPLE), "one vector, or one for each example", (problems.VECTOR,)),
        Axis("result", (GRADIENTS, VALUE), "what is computed", (GRADIENTS,), choices=(GRADIENTS, VALUE)),
        Axis("execution", ("xla",), "how it runs", choices=("eager", "graph", "xla")),
        Axis("dtype", ("float32",), "of the predictions", choices=("float16", "bfloat16", "float32", "float64")),
        Axis("width", (1,), "residuals of an example"),
        Axis("device", ("cpu",), "where it runs", choices=("cpu", "gpu")),
    ),
    base="soft",
    quantities=(
        Quantity("elements/s", lambda facts, seconds: facts["elements"] / seconds, "{:.3g}"),
        GIGABYTES,
        SHARE,
        MILLISECONDS,
    ),
    plots=(
        Plot("GB/s", "losses", roof=COPY),
        Plot("GB/s", "elements", roof=COPY),
        Plot("elements/s", "losses"),
        Plot("elements/s", "elements"),
    ),
    parts=(Part("benchmarks.throughput"),),
    quick_arms=(COPY, "annealed, Gumbel", "hard, lazy"),
)

device = problems.device


def arms(case: dict[str, Any]) -> Iterable[str]:
    return [*problems.modes(), COPY]


def build(case: dict[str, Any], arm: str) -> Subject:
    if arm == COPY:
        return copy(case["device"])
    import tensorflow as tf

    executions = {
        "eager": lambda function: function,
        "graph": tf.function,
        "xla": lambda function: tf.function(function, jit_compile=True),
    }
    mode = problems.modes()[arm]()
    given = problems.inputs(case["elements"], case["losses"], case["gate"], case["width"])
    value = problems.blended(mode, case["losses"])
    function = {VALUE: value, GRADIENTS: problems.with_gradients(value, mode.lazy)}[case["result"]]
    run = executions[case["execution"]](function)
    with tf.device(f"/{case['device']}:0"):
        arguments = problems.tensors(given, case["dtype"])

    def call() -> Any:
        with tf.device(f"/{case['device']}:0"):
            return run(*arguments)

    moved = problems.bytes_moved(given, arguments[1].dtype.size, case["result"] == GRADIENTS)
    return Subject(call, tf.test.experimental.sync_devices, {"elements": case["elements"], "bytes": moved})
