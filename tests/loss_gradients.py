"""What the gradients of losses are measured of: variables in layers, and losses that are linear in some of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import blendloss as bl
from blendloss.gates import LossGradients


class Layers:
    """Two trunks, a head for each of two losses, and a variable that nothing acts on; losses that are linear in each.

    l_a = sum(A * lower) + sum(B * upper) + sum(C * own_a), and so for b: the gradients are the factors themselves.
    """

    shapes = {"trunk/lower": [3, 4], "trunk/upper": [5], "last/upper": [2], "head_a/kernel": [3], "head_b/kernel": [2]}

    def __init__(self, dtype="float32", sizes=(1.0, 1.0)):
        self.variables = [tf.Variable(tf.ones(s, dtype), name=n) for n, s in self.shapes.items()]
        self.variables.append(tf.Variable(tf.ones([2], dtype), name="idle/kernel"))
        rng = np.random.default_rng(0)
        draw = [[size * rng.normal(size=s) for s in self.shapes.values()] for size in sizes]
        draw[0][4] = draw[1][3] = None  # another's head
        self.factors: list[list[Any]] = [[None if f is None else f.astype(dtype) for f in row] + [None] for row in draw]

    def losses(self):
        def loss(factors):
            pairs = zip(factors, self.variables, strict=True)
            return tf.add_n([tf.reduce_sum(f * v) for f, v in pairs if f is not None])

        return [loss(factors) for factors in self.factors]

    def rows(self, places):
        """The gradients of both losses in the variables `places`, in float64."""
        return np.stack([np.concatenate([np.float64(row[i]).ravel() for i in places]) for row in self.factors])

    def gradients(self, measured="shared", **named):
        with tf.GradientTape(persistent=True) as tape:
            losses = self.losses()
        return LossGradients(tape, losses, self.variables, measured, **named)


PLACES = [
    ("shared", [0, 1, 2]),
    ("last", [2]),
    (["trunk/*"], [0, 1]),
    (["*upper:0", "*/lower*"], [0, 1, 2]),
    (["last/upper:0"], [2]),
]
MODES = {
    "soft": lambda: bl.modes.Soft(),
    "concrete": lambda: bl.modes.Annealed(bl.schedules.linear(2.0, 0.5, steps=10), bl.modes.entmax15, seed=5),
    "reinmax": lambda: bl.modes.Hard(bl.modes.ReinMax(2)),
}
