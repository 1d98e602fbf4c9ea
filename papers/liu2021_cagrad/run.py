"""Adam along the direction of a gate, from each start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from papers.liu2021_cagrad import late
from papers.liu2021_cagrad.config import LATE, Config, starts
from papers.liu2021_cagrad.problem import losses, reached, stationarity

DTYPE = "float64"
#: What the losses stay above, in FAMO's code: -21 times their scale.
BOUND = -21.0
#: The methods whose direction FAMO's code clips.
CLIPPED = ("PCGrad", "CAGrad")


def gate_of(method: str, scale: float) -> bl.gates.Gate:
    """The gate of `method`, with the arguments of the code that is run at `scale`."""
    name, _, number = method.partition(" ")
    reduction = "mean" if scale == 1 else "sum"
    gates: dict[str, Callable[[], bl.gates.Gate]] = {
        "mean": lambda: bl.gates.Fixed([0.5, 0.5], dtype=DTYPE),
        "MGDA": lambda: bl.gates.MGDA(dtype=DTYPE),
        "PCGrad": lambda: bl.gates.PCGrad("code", reduction=reduction, dtype=DTYPE),  # two losses have one order
        "CAGrad": lambda: bl.gates.CAGrad(float(number), rescale=2 if scale == 1 else 1, dtype=DTYPE),
        "IMTL-G": lambda: bl.gates.IMTLG(dtype=DTYPE),
        "Nash-MTL": lambda: bl.gates.NashMTL(dtype=DTYPE),
        "FAMO": lambda: bl.gates.FAMO([scale * BOUND, BOUND], weight_decay=0.0, dtype=DTYPE),
    }
    return gates[name]()


class Descent:
    """A point that one method moves, and everything that moves with it."""

    def __init__(self, method: str, scale: float, rate: float) -> None:
        self.scale = scale
        self.gate = gate_of(method, scale)
        self.blend = bl.Blend(["L1", "L2"], self.gate)
        self.x = tf.Variable([0.0, 0.0], dtype=DTYPE)
        # FAMO's code cuts the directions of these two to length 1. That of its other methods it would cut before it is
        # computed, which does nothing. Adam does not see the length, but for its changes.
        clipped = scale != 1 and method.startswith(CLIPPED)
        self.adam = keras.optimizers.Adam(rate, epsilon=1e-8, clipnorm=1.0 if clipped else None)
        #: Of the direction: that code has the sum where CAGrad has the mean.
        self.factor = 2.0 if scale != 1 and method.startswith("CAGrad") else 1.0
        self.adam.build([self.x])
        #: The largest distance, over the path, between the direction and the mean of the two gradients, in lengths of
        #: the longer one: near a minimum the mean is their rounding.
        self.off = tf.Variable(0.0, dtype=DTYPE)
        variables = (*self.gate.variables, *self.adam.variables)
        self.state = [self.x, self.off, *(variable.value for variable in variables)]
        self.fresh = [variable.numpy() for variable in self.state]

    def start(self, place: tuple[float, float]) -> None:
        """Puts the point at `place`, and everything else as it was made."""
        for variable, value in zip(self.state, self.fresh, strict=True):
            variable.assign(value)
        self.x.assign(place)

    def values(self) -> dict[str, tf.Tensor]:
        return dict(zip(("L1", "L2"), losses(tf.convert_to_tensor(self.x), self.scale), strict=True))

    @tf.function(jit_compile=True)
    def advance(self, steps: tf.Tensor) -> None:
        """Makes `steps` steps."""
        for _ in tf.range(steps):
            with tf.GradientTape(persistent=True) as tape:
                values = self.values()
            first, second = (tape.gradient(value, self.x) for value in values.values())
            found = self.blend.gradients(tape, values, [self.x], step=self.adam.iterations)
            longer = tf.maximum(tf.norm(first), tf.norm(second))
            off = tf.math.divide_no_nan(tf.norm(found.gradients[0] - (first + second) / 2), longer)
            self.off.assign(tf.maximum(self.off, off))
            self.adam.apply_gradients([(tf.multiply(found.gradients[0], self.factor), self.x)])
            if Needs.PROGRESS in self.gate.needs:
                self.gate.observe_progress(self.values())


def run(config: Config, arm: str, seed: int, progress: Callable[[float], None]) -> dict[str, Any]:
    name, method = arm.split(": ")
    if name == LATE:
        return late.run(config, method, progress)
    steps = config.long if name == "1" else config.short
    descent = Descent(method, float(name), config.learning_rate)
    every, places = tf.constant(config.every), starts(name)
    ends, shorts, paths, offs = [], [], [], []
    for number, place in enumerate(places):
        descent.start(place)
        path = [place]
        for done in range(config.every, steps + 1, config.every):
            descent.advance(every)
            path.append(tuple(descent.x.numpy()))
            progress((number + done / steps) / len(places))
        ends.append(descent.x.numpy())
        shorts.append(float(stationarity(ends[-1])))
        paths.append(path)
        offs.append(float(descent.off))
    return {
        "starts": [list(place) for place in places],
        "ends": np.round(ends, 6).tolist(),
        "stationarity": [float(f"{short:.4g}") for short in shorts],
        "reached": [reached(end, short) for end, short in zip(ends, shorts, strict=True)],
        "off the mean gradient": offs,
        "mean loss": [round(float(np.mean(losses(end))), 6) for end in ends],
        "paths": [written(path) for path in paths],
    }


def written(path: list[tuple[float, float]]) -> str:
    """The places of `path` that are apart, as one short string."""
    kept: list[Any] = [np.array(path[0])]
    for place in map(np.array, path):
        if np.abs(place - kept[-1]).max() > 0.08:
            kept.append(place)
    return " ".join(f"{number:.2f}" for place in [*kept, path[-1]] for number in place)
