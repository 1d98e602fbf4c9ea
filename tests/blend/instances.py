"""The losses, data, modes and gates that the blends under test are made of."""

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl

LOSSES = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(1.0), "mae": bl.losses.AbsoluteError()}
WEIGHTS = [0.2, 0.3, 0.5]
RNG = np.random.default_rng(0)
Y_TRUE = RNG.normal(size=(6, 2)).astype("float32")
Y_PRED = (Y_TRUE + 2 * RNG.normal(size=(6, 2))).astype("float32")


def fixed(**named):
    return bl.Blend(LOSSES, bl.gates.Fixed(WEIGHTS), **named)


@keras.saving.register_keras_serializable(package="tests")
class PerExample(bl.gates.Gate):
    """One gating vector for each example, from logits given as they are."""

    def __init__(self, logits, **named):
        super().__init__(**named)
        self.given = logits

    def gating(self, context):
        return tf.constant(self.given, tf.float32)

    def get_config(self):
        return {**super().get_config(), "logits": self.given}


MODES = {
    "soft": bl.modes.Soft(),
    "sparsemax": bl.modes.Soft(bl.modes.sparsemax),
    "entmax15": bl.modes.Soft(bl.modes.entmax15),
    "annealed": bl.modes.Annealed(0.5),
    "concrete": bl.modes.Annealed(0.5, seed=1),
    "hard": bl.modes.Hard(),
    "hard-all": bl.modes.Hard(lazy=False),
    "gumbel": bl.modes.Hard(bl.modes.GumbelStraightThrough(seed=1)),
    "reinmax": bl.modes.Hard(bl.modes.ReinMax(seed=1)),
}


GATES = {
    "fixed": lambda: bl.gates.Fixed(WEIGHTS),
    "manual": lambda: bl.gates.Manual(WEIGHTS),
    "scheduled": lambda: bl.gates.Scheduled(bl.schedules.linear(0.0, 2.0, steps=1000)),
    "scheduled-weights": lambda: bl.gates.Scheduled(bl.schedules.cosine([1, 0, 0], [0, 1, 1], steps=1000)),
    "learned": lambda: bl.gates.Learned(),
    "learned-initial": lambda: bl.gates.Learned(normalize="initial"),
    "learned-running": lambda: bl.gates.Learned(
        normalize="running", regularizers=[bl.gates.regularizers.Entropy(bl.schedules.linear(1.0, 0.0, steps=1000))]
    ),
    "bayesian": lambda: bl.gates.Bayesian(bl.gates.families.LogisticNormal(), examples=6, seed=0),
    "uncertainty": lambda: bl.gates.Uncertainty(["regression", "geometric", "auxiliary"]),
    "plateau": lambda: bl.gates.Plateau("loss", patience=60),
    "threshold": lambda: bl.gates.Threshold("loss", [0.6, 0.3]),
    "residual-state": lambda: bl.gates.ResidualState(
        bl.gates.statistics.QuantileAbsolute(0.9), [1.0, 2.0], width=1.0, memory=10
    ),
    "score-matching": lambda: bl.gates.ScoreMatching(every=2),
    "imtl-l": lambda: bl.gates.IMTLL(),
    "random": lambda: bl.gates.Random(seed=0),
}
OF_VALUES = {
    "geometric-mean": lambda: bl.gates.GeometricMean(),
    "tchebycheff": lambda: bl.gates.Tchebycheff([1.0, 1.5, 1.5]),
    "smooth-tchebycheff": lambda: bl.gates.SmoothTchebycheff(0.5, averaging=2),
    "pbi": lambda: bl.gates.PBI([1.0, 2.0, 3.0]),
    "famo": lambda: bl.gates.FAMO(same_batch=False),
    "exp3-s": lambda: bl.gates.Exp3S(seed=0, rate=0.1, same_batch=False),
    "softadapt": lambda: bl.gates.SoftAdapt(),
    "relobralo": lambda: bl.gates.ReLoBRaLo(seed=0),
    "dwa": lambda: bl.gates.DWA(10),
    "normalized": lambda: bl.gates.Normalized(),
}
FROM_GRADIENTS = {
    "grad-norm": lambda: bl.gates.GradNorm(),
    "lr-annealing": lambda: bl.gates.LRAnnealing(every=3),
    "ntk": lambda: bl.gates.NTK(probes=2, seed=0, every=2),
    "grad-drop": lambda: bl.gates.GradDrop(0.5, seed=0),
    "mgda": lambda: bl.gates.MGDA("l2"),
    "cagrad": lambda: bl.gates.CAGrad(0.5, rescale=1),
    "nash-mtl": lambda: bl.gates.NashMTL(),
    "fair-grad": lambda: bl.gates.FairGrad(2.0, max_norm=1.0),
    "imtl-g": lambda: bl.gates.IMTLG(),
    "aligned-mtl": lambda: bl.gates.AlignedMTL("median"),
    "config": lambda: bl.gates.ConFIG("min"),
    "pcgrad": lambda: bl.gates.PCGrad(seed=0),
    "grad-vac": lambda: bl.gates.GradVac(0.1, seed=0),
    "upgrad": lambda: bl.gates.UPGrad(),
}
