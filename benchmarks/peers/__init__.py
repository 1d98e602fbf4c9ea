"""The same mathematics in Keras, torch, JAX and optax: a weighted sum of means, with its gradients.

L = sum_k softmax(z)_k mean rho_k(y_pred - y_true), dL/dy_pred and dL/dz. The peers run in processes and an environment
of their own (`make peers`), interleaved with ours block by block; what each computes is compared with ours first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import problems
from benchmarks.bandwidth import COPY, GIGABYTES, SHARE, copy
from benchmarks.harness import Axis, Benchmark, Part, Plot, Subject
from benchmarks.harness.benchmark import MILLISECONDS
from benchmarks.peers.mathematics import FORMULAS, TOLERANCES, named

OURS = "blendloss, XLA"

BENCHMARK = Benchmark(
    name="peers",
    about="the same losses and gradients in Keras, torch and JAX",
    axes=(
        Axis("losses", (1, 2, 4, 8), "K, the number of losses", quick=(2,), choices=tuple(range(1, len(FORMULAS) + 1))),
        Axis("elements", (2**22,), "N, the number of residuals", quick=(2**16,)),
        Axis("dtype", ("float32",), "of everything", choices=tuple(TOLERANCES)),
    ),
    base=OURS,
    quantities=(MILLISECONDS, GIGABYTES, SHARE),
    plots=(Plot("GB/s", "losses", roof=COPY), Plot("GB/s", "elements", roof=COPY)),
    parts=(
        Part("benchmarks.peers"),
        Part("benchmarks.peers.with_torch", peers=True),
        Part("benchmarks.peers.with_jax", peers=True),
    ),
)

device = problems.device


def _ours(losses: int) -> Callable[..., Any]:
    import blendloss as bl

    return problems.blended(bl.modes.Soft(), losses)


def _keras(losses: int) -> Callable[..., Any]:
    """Keras's own losses, where it has them."""
    import keras
    import tensorflow as tf

    own = {
        "SquaredError": keras.losses.MeanSquaredError(),
        "Huber": keras.losses.Huber(),
        "AbsoluteError": keras.losses.MeanAbsoluteError(),
        "LogCosh": keras.losses.LogCosh(),
    }

    def by_formula(name: str) -> Callable[[Any, Any], Any]:
        return lambda y, p: keras.ops.mean(FORMULAS[name](keras.ops, p - y))

    chosen = [own.get(name) or by_formula(name) for name in problems.LOSSES[:losses]]

    def value(y_true: Any, y_pred: Any, logits: Any, step: Any) -> Any:
        weights = tf.unstack(tf.nn.softmax(logits))
        return tf.add_n([weight * loss(y_true, y_pred) for weight, loss in zip(weights, chosen, strict=True)])

    return value


ARMS: dict[str, tuple[Callable[[int], Callable[..., Any]], bool]] = {
    OURS: (_ours, True),
    "blendloss, graph": (_ours, False),
    "Keras, XLA": (_keras, True),
    "Keras, graph": (_keras, False),
}


def arms(case: dict[str, Any]) -> Iterable[str]:
    return [*ARMS, COPY]


def build(case: dict[str, Any], arm: str) -> Subject:
    import keras
    import tensorflow as tf

    if arm == COPY:
        return copy("gpu" if tf.config.list_physical_devices("GPU") else "cpu")
    keras.config.set_floatx(case["dtype"])  # Keras's losses compute in it
    made, compiled = ARMS[arm]
    given = problems.inputs(case["elements"], case["losses"])
    arguments = problems.tensors(given, case["dtype"])
    run = tf.function(problems.with_gradients(made(case["losses"]), lazy=False), jit_compile=compiled)
    return Subject(
        call=lambda: run(*arguments),
        wait=tf.test.experimental.sync_devices,
        facts={"bytes": problems.bytes_moved(given, arguments[1].dtype.size, gradients=True)},
        outputs=lambda: named(run(*arguments)),
        tolerance=TOLERANCES[case["dtype"]],
    )
