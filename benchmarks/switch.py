"""What a change of the blend costs: here, and in the ways that are written by hand."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import problems
from benchmarks.harness import Axis, Benchmark, Part, Quantity, Subject
from benchmarks.harness.benchmark import MILLISECONDS

UNCHANGED = "blendloss, no change"

BENCHMARK = Benchmark(
    name="switch",
    about="milliseconds and traces of a training step before which the blend changes",
    axes=(
        Axis("execution", ("graph", "xla"), "how the step is compiled", choices=("graph", "xla")),
        Axis("batch", (256,), "examples of a step"),
    ),
    base=UNCHANGED,
    quantities=(
        Quantity("ms of a step with its change", MILLISECONDS.of),
        Quantity("ms of the change", MILLISECONDS.of, beside=UNCHANGED, by=operator.sub),
        Quantity("traces a change", lambda facts, seconds: facts["traces"]),
    ),
    parts=(Part("benchmarks.switch"),),
)

device = problems.device


class _Training:
    """A network, its optimizer, one batch, and the traces of the step so far."""

    def __init__(self, case: dict[str, Any]) -> None:
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(0)
        self.compiled = case["execution"] == "xla"
        layers = [keras.layers.Dense(256, "relu") for _ in range(2)]
        self.network = keras.Sequential([keras.Input([32]), *layers, keras.layers.Dense(1)])
        self.x = tf.random.stateless_normal([case["batch"], 32], [0, 1])
        self.y = tf.reduce_sum(self.x, axis=1, keepdims=True)
        self.traces = 0
        self.changes = itertools.count()

    def step(self, loss: Callable[..., Any]) -> Any:
        """A compiled step for `loss(y, prediction, *given)`; calling it takes `given`."""
        import keras
        import tensorflow as tf

        optimizer = keras.optimizers.Adam()
        variables = self.network.trainable_variables
        optimizer.build(variables)

        @tf.function(jit_compile=self.compiled)
        def step(*given: Any) -> Any:
            self.traces += 1  # runs as the function is traced, and only then
            with tf.GradientTape() as tape:
                value = loss(self.y, self.network(self.x), *given)
            optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
            return value

        return step

    def subject(self, call: Callable[[], Any]) -> Subject:
        return Subject(call, counts={"traces": lambda: self.traces})


def _losses() -> tuple[Any, Any]:
    import keras

    return keras.losses.MeanSquaredError(), keras.losses.Huber()


def _blended(training: _Training, schedule: str, mode: str, stages: list[int]) -> Callable[[], Any]:
    """The blend at each of the steps `stages` in turn."""
    import tensorflow as tf

    import blendloss as bl

    schedules = {"crossfade": bl.schedules.cosine(0.0, 1.0, steps=1000), "switch": bl.schedules.switch_at(500)}
    gate = bl.gates.Scheduled(schedules[schedule])
    blend = bl.Blend(problems.penalties(2), gate, {"soft": bl.modes.Soft, "hard": bl.modes.Hard}[mode]())
    step = training.step(lambda y, p, at: blend(y, p, step=at))
    at = tf.Variable(0, dtype=tf.int64, trainable=False)

    def call() -> Any:
        at.assign(stages[next(training.changes) % len(stages)])
        return step(at)

    return call


def _recompiled(training: _Training) -> Callable[[], Any]:
    """What callbacks do today. The optimizer starts anew each time."""
    weights = itertools.cycle([1.0, 2.0])
    mse, huber = _losses()

    def call() -> Any:
        weight = next(weights)

        def loss(y: Any, p: Any) -> Any:
            training.traces += 1
            return weight * mse(y, p) + huber(y, p)

        training.network.compile("adam", loss=loss, jit_compile=training.compiled)
        return training.network.train_on_batch(training.x, training.y)

    return call


def _python_if(training: _Training) -> Callable[[], Any]:
    mse, huber = _losses()
    step = training.step(lambda y, p, epoch: mse(y, p) if epoch % 2 else huber(y, p))
    return lambda: step(next(training.changes))  # a Python number: each is a trace of its own


def _cond(training: _Training) -> Callable[[], Any]:
    import tensorflow as tf

    mse, huber = _losses()
    robust = tf.Variable(False, trainable=False)
    step = training.step(lambda y, p: tf.cond(robust, lambda: huber(y, p), lambda: mse(y, p)))

    def call() -> Any:
        robust.assign(bool(next(training.changes) % 2))
        return step()

    return call


def _switch_case(training: _Training) -> Callable[[], Any]:
    import tensorflow as tf

    mse, huber = _losses()
    chosen = tf.Variable(0, trainable=False)
    step = training.step(lambda y, p: tf.switch_case(chosen.read_value(), [lambda: mse(y, p), lambda: huber(y, p)]))

    def call() -> Any:
        chosen.assign(next(training.changes) % 2)
        return step()

    return call


ARMS: dict[str, Callable[[_Training], Callable[[], Any]]] = {
    UNCHANGED: functools.partial(_blended, schedule="crossfade", mode="soft", stages=[500]),
    "blendloss, crossfade": functools.partial(_blended, schedule="crossfade", mode="soft", stages=list(range(1000))),
    "blendloss, hard switch": functools.partial(_blended, schedule="switch", mode="hard", stages=[0, 500]),
    "compile() again": _recompiled,
    "Python `if`": _python_if,
    "tf.cond": _cond,
    "tf.switch_case": _switch_case,
}


def arms(case: dict[str, Any]) -> Iterable[str]:
    return ARMS


def build(case: dict[str, Any], arm: str) -> Subject:
    training = _Training(case)
    return training.subject(ARMS[arm](training))
