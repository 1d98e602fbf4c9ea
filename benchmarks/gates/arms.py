"""The arms: one way of weighing K losses each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl

INPUTS, WIDTH = 64, 256
#: Keras's own sum of the losses, timed twice: what differs between the two is noise.
BASE, AGAIN = "plain sum", "plain sum again"
#: What the gradient gates cannot do without: the gradient of each loss, by K backward passes or one vectorised pass.
EACH, EACH_VECTORISED = "K backward passes", "K passes, vectorised"


class Each(bl.gates.GradientGate):
    """Computes the gradient of each loss, and adds them up."""

    def weigh(self, gradients: Any, context: Any) -> tf.Tensor:
        _ = gradients.each
        return tf.ones([len(gradients)])


class EachVectorised(Each):
    """The same by one vectorised pass."""

    def weigh(self, gradients: Any, context: Any) -> tf.Tensor:
        k = len(gradients)
        one = tf.vectorized_map(
            lambda seeds: [
                tf.zeros([]) if gradient is None else gradient
                for gradient in gradients.of(gradients._losses, tf.unstack(seeds, k))
            ],
            tf.eye(k),
        )
        rows = list(zip(*[tf.unstack(part, k) for part in one], strict=True))
        gradients._each = [list(row) for row in rows]
        return tf.ones([k])


def gates() -> dict[str, Callable[[int], bl.gates.Gate]]:
    """The gates by name, each a function of K; every adaptive gate that the library has."""
    found: dict[str, Callable[[int], bl.gates.Gate]] = {
        "Fixed": lambda k: bl.gates.Fixed([1.0] * k),
        "Uncertainty": lambda k: bl.gates.Uncertainty(),
        EACH: lambda k: Each(),
        EACH_VECTORISED: lambda k: EachVectorised(),
    }
    for name in bl.gates.__all__:
        subject = getattr(bl.gates, name)
        adaptive = inspect.isclass(subject) and subject.__module__.startswith("blendloss.gates._from_")
        if adaptive and not inspect.isabstract(subject):
            found[name] = lambda k, subject=subject: made(subject, k)
    return found


def made(subject: Any, k: int) -> bl.gates.Gate:
    """A gate with its usual arguments."""
    given: dict[str, Any] = {
        "seed": 0,
        "preference": [1.0 / k] * k,
        "reference": "loss0",
    }
    wanted = inspect.signature(subject.__init__).parameters
    needed = {n: v for n, v in given.items() if n in wanted and wanted[n].default is inspect.Parameter.empty}
    return subject(**needed)


def network(k: int) -> keras.Model:
    """A trunk of three layers, and K outputs."""
    inputs = hidden = keras.Input([INPUTS])
    for layer in range(3):
        hidden = keras.layers.Dense(WIDTH, activation="relu", name=f"trunk{layer}")(hidden)
    return keras.Model(inputs, {f"loss{i}": keras.layers.Dense(1, name=f"loss{i}")(hidden) for i in range(k)})


def data(k: int, batch: int) -> tuple[Any, dict[str, Any]]:
    """One batch."""
    random = np.random.default_rng(0)
    x = random.normal(size=(batch, INPUTS)).astype("float32")
    y = x @ random.normal(size=(INPUTS, k)).astype("float32") + random.normal(size=(batch, k)).astype("float32")
    return tf.constant(x), {f"loss{i}": tf.constant(y[:, i : i + 1]) for i in range(k)}


def step(arm: str, k: int, batch: int, compiled: bool) -> Callable[[], float]:
    """A function that takes one training step and waits for it."""
    keras.utils.set_random_seed(0)
    x, y = data(k, batch)
    if arm in (BASE, AGAIN):
        model = network(k)
        model.compile("adam", loss={f"loss{i}": "mse" for i in range(k)})
    else:
        heads = {f"loss{i}": bl.losses.Head(f"loss{i}", "mse") for i in range(k)}
        model = bl.BlendedModel(network(k), bl.Blend(heads, gates()[arm](k)))
        model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    if compiled:
        model._symbolic_build(data_batch=(x, y))  # the metrics' variables, too, before the one trace
    traced = tf.function(lambda: model.train_step((x, y))["loss"], jit_compile=compiled)
    return lambda: float(traced())
