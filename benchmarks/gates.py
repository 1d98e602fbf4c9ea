"""What each adaptive weighting costs, in a whole training step of a network with K outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import problems
from benchmarks.harness import Axis, Benchmark, Part, Plot, Subject
from benchmarks.harness.benchmark import MILLISECONDS

INPUTS, WIDTH = 64, 256
PLAIN = "plain sum"
#: What gates from values cannot do without: to wait for the losses before anything is derived.
WAITING = "weights of 1, after the losses"
#: What the gradient gates cannot do without: the gradient of each loss, by K backward passes or one vectorized pass.
EACH, EACH_VECTORIZED = "K backward passes", "K passes, vectorized"
#: Score matching blends K losses of one residual, so that its network has one output; and what to compare it with.
MATCHING, ONE_RESIDUAL = "ScoreMatching, one output", "Fixed, one output"


BENCHMARK = Benchmark(
    name="gates",
    about="a training step with each adaptive weighting, against Keras's plain sum of the losses",
    axes=(
        Axis("losses", (2, 3, 11, 40), "K, the number of losses and outputs"),
        Axis("batch", (256,), "examples of a step"),
        Axis("execution", ("xla",), "how the step is compiled", choices=("xla", "graph")),
    ),
    base=PLAIN,
    quantities=(MILLISECONDS,),
    plots=(Plot("ms", "losses"),),
    parts=(Part("benchmarks.gates"),),
    quick_arms=("Fixed", "Uncertainty", EACH),
    published={
        "FAMO": {2: 1.18, 3: 1.19, 11: 1.13, 40: 1.07},
        "CAGrad": {2: 1.61, 3: 2.09, 11: 3.33, 40: 3.45},
        "PCGrad": {2: 1.50, 3: 2.23, 11: 3.96, 40: 8.70},
        "MGDA": {2: 2.05, 3: 2.32, 11: 6.76, 40: 5.28},
        "NashMTL": {2: 2.07, 3: 2.34, 11: 6.58, 40: 12.49},
    },
    source="the same method in torch on a GPU (figure of arXiv 2502.08585)",
)

device = problems.device


def arms(case: dict[str, Any]) -> Iterable[str]:
    return [PLAIN, *gates(), ONE_RESIDUAL, MATCHING]


def gates() -> dict[str, Callable[[int], Any]]:
    """The gates by name, each a function of K; every adaptive gate that the library has."""
    import blendloss as bl

    found: dict[str, Callable[[int], Any]] = {
        "Fixed": lambda k: bl.gates.Fixed([1.0] * k),
        "Uncertainty": lambda k: bl.gates.Uncertainty(),
        WAITING: lambda k: _waiting()(),
        EACH: lambda k: _each()(),
        EACH_VECTORIZED: lambda k: _each_vectorized()(),
    }
    for name in bl.gates.__all__:
        subject = getattr(bl.gates, name)
        adaptive = inspect.isclass(subject) and subject.__module__.startswith("blendloss.gates._from_")
        if adaptive and not inspect.isabstract(subject):
            found[name] = partial(_made, subject)
    return found


def _waiting() -> type:
    import blendloss as bl

    class Waiting(bl.gates.Gate):
        """Weights of 1 that are known only after the losses, as those of a gate from values are."""

        needs = bl.gates.Needs.VALUES

        def gating(self, context: Any) -> Any:
            return bl.gates.Gating(0 * context.values, total=float(len(self.names)))

    return Waiting


def _each() -> type:
    import tensorflow as tf

    import blendloss as bl

    class Each(bl.gates.GradientGate):
        """Computes the gradient of each loss, and adds them up."""

        def weigh(self, gradients: Any, context: Any) -> tf.Tensor:
            _ = gradients.each
            return tf.ones([len(gradients)])

    return Each


def _each_vectorized() -> type:
    import tensorflow as tf

    import blendloss as bl

    class EachVectorized(bl.gates.GradientGate):
        """The same by one vectorized pass."""

        def weigh(self, gradients: Any, context: Any) -> tf.Tensor:
            return tf.ones([len(gradients)])

        def combined(self, weights: tf.Tensor, gradients: Any, context: Any) -> list[tf.Tensor]:
            k = len(gradients)
            of_each = tf.vectorized_map(
                lambda seeds: gradients.of(gradients._losses, tf.unstack(seeds, k)),
                tf.eye(k),
            )
            return [tf.tensordot(tf.cast(weights, part.dtype), part, 1) for part in of_each]

    return EachVectorized


def _made(subject: Any, k: int) -> Any:
    """A gate with its usual arguments."""
    given: dict[str, Any] = {
        "seed": 0,
        "preference": [1.0 / k] * k,
        "penalty": 1.0,
        "window": 25,
        "smoothness": 1.0,
        "exploration": 0.1,
    }
    wanted = inspect.signature(subject.__init__).parameters
    if "form" in wanted and "seed" in wanted and wanted["seed"].default is None:  # PCGrad's own form draws
        return subject(**({} if "probes" in wanted else {"seed": 0}))
    needed = {n: v for n, v in given.items() if n in wanted and wanted[n].default is inspect.Parameter.empty}
    return subject(**needed)


def network(k: int, width: int = WIDTH) -> Any:
    """A trunk of three layers, and K outputs."""
    import keras

    inputs = hidden = keras.Input([INPUTS])
    for layer in range(3):
        hidden = keras.layers.Dense(width, activation="relu", name=f"trunk{layer}")(hidden)
    return keras.Model(inputs, {f"loss{i}": keras.layers.Dense(1, name=f"loss{i}")(hidden) for i in range(k)})


def problem(arm: str, k: int, batch: int, width: int = WIDTH) -> tuple[Any, tuple[Any, Any]]:
    """The compiled model of an arm, and its batch: inputs, and targets by output."""
    import keras
    import tensorflow as tf

    import blendloss as bl

    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(batch, INPUTS)), tf.float32)
    targets = x.numpy() @ random.normal(size=(INPUTS, k)) + random.normal(size=(batch, k))
    y = {f"loss{i}": tf.constant(targets[:, i : i + 1], tf.float32) for i in range(k)}
    if arm == PLAIN:
        model = network(k, width)
        model.compile("adam", loss=dict.fromkeys(y, "mse"))
    elif arm in (MATCHING, ONE_RESIDUAL):
        y = {"loss0": y["loss0"]}
        gate = bl.gates.ScoreMatching() if arm == MATCHING else bl.gates.Fixed([1.0] * k)
        penalties = {f"huber{i}": bl.losses.Huber(0.5 + i) for i in range(k)}
        model = bl.BlendedModel(network(1, width), bl.Blend(penalties, gate))
        model.compile("adam")
    else:
        losses = {name: bl.losses.OutputLoss(name, bl.losses.SquaredError()) for name in y}
        model = bl.BlendedModel(network(k, width), bl.Blend(losses, gates()[arm](k)))
        model.compile("adam")
    return model, (x, y)


def build(case: dict[str, Any], arm: str) -> Subject:
    import tensorflow as tf

    compiled = case["execution"] == "xla"
    model, data = problem(arm, case["losses"], case["batch"])
    model.optimizer.build(model.trainable_variables)
    if compiled:
        model._symbolic_build(data_batch=data)  # the metrics' variables, too, before the one trace
    step = tf.function(lambda: model.train_step(data)["loss"], jit_compile=compiled)
    return Subject(step, tf.test.experimental.sync_devices)
