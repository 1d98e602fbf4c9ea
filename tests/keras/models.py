"""The data, gates and modes of the models under test, and how they are fitted."""

import keras
import numpy as np
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(64, 1))).astype("float32")
STATISTICS = bl.gates.statistics

GATES = {
    "fixed": lambda: bl.gates.Fixed([1.0, 2.0, 3.0]),
    "manual": lambda: bl.gates.Manual([1.0, 2.0, 3.0]),
    "scheduled": lambda: bl.gates.Scheduled(bl.schedules.linear(0.0, 2.0, steps=20)),
    "learned": lambda: bl.gates.Learned(),
    "learned-initial": lambda: bl.gates.Learned(
        normalize="initial", regularizers=[bl.gates.regularizers.KL([0.2, 0.3, 0.5], 0.1)]
    ),
    "learned-running": lambda: bl.gates.Learned(
        normalize="running", regularizers=[bl.gates.regularizers.Entropy(bl.schedules.linear(1.0, 0.0, steps=12))]
    ),
    "learned-likelihood": lambda: bl.gates.Learned(normalize="likelihood"),
    "bayesian-dirichlet": lambda: bl.gates.Bayesian(bl.gates.families.Dirichlet(), examples=64, seed=0),
    "bayesian-logistic-normal": lambda: bl.gates.Bayesian(bl.gates.families.LogisticNormal(), examples=64, seed=0),
    "network": lambda: bl.gates.Network(keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])),
    "uncertainty": lambda: bl.gates.Uncertainty(initial=1.0),
    "plateau": lambda: bl.gates.Plateau("val_mae", patience=1, min_delta=1.0),
    "threshold": lambda: bl.gates.Threshold("val_mae", [4.5, 2.0], hysteresis=0.5),
    "mean-absolute": lambda: bl.gates.ResidualState(STATISTICS.MeanAbsolute(), [2.0, 3.0], width=1.0, memory=5),
    "quantile": lambda: bl.gates.ResidualState(STATISTICS.QuantileAbsolute(0.9), [2.0, 3.0], width=1.0),
    "outlier-share": lambda: bl.gates.ResidualState(STATISTICS.OutlierShare(2.0), [0.05, 0.2], width=0.1),
    "kurtosis": lambda: bl.gates.ResidualState(STATISTICS.Kurtosis(), [3.0, 6.0], width=1.0),
    "stagnation": lambda: bl.gates.ResidualState(STATISTICS.Stagnation(), [0.9, 1.0], width=0.1),
    "score-matching": lambda: bl.gates.ScoreMatching(memory=20, every=3),
    "imtl-l": lambda: bl.gates.IMTLL(),
    "geometric-mean": lambda: bl.gates.GeometricMean(),
    "smooth-tchebycheff": lambda: bl.gates.SmoothTchebycheff(0.5, warmup=4, averaging=8),
    "pbi": lambda: bl.gates.PBI([1.0, 2.0, 3.0], 0.5),
    "famo": lambda: bl.gates.FAMO(),
    "famo-next-batch": lambda: bl.gates.FAMO(same_batch=False),
    "exp3": lambda: bl.gates.Exp3(0.2, seed=0, history=6),
    "exp3-s": lambda: bl.gates.Exp3S(seed=0, rate=0.1, history=6),
    "softadapt": lambda: bl.gates.SoftAdapt(order=1, loss_weighted=True, momentum=0.5),
    "relobralo": lambda: bl.gates.ReLoBRaLo(0.9, 0.5, 0.5, seed=0),
    "dwa": lambda: bl.gates.DWA(4),
    "dwa-sliding": lambda: bl.gates.DWA(2, sliding=True),
    "random": lambda: bl.gates.Random(seed=0),
    "normalized-rms": lambda: bl.gates.Normalized("rms"),
    "grad-norm": lambda: bl.gates.GradNorm(),
    "lr-annealing": lambda: bl.gates.LRAnnealing(every=3),
    "ntk": lambda: bl.gates.NTK(every=3),
    "ntk-probes": lambda: bl.gates.NTK(probes=2, seed=0, momentum=0.5, every=3),
    "grad-drop": lambda: bl.gates.GradDrop(0.1, seed=0),
    "mgda": lambda: bl.gates.MGDA("loss+"),
    "cagrad": lambda: bl.gates.CAGrad(0.5),
    "nash-mtl": lambda: bl.gates.NashMTL(every=3),
    "fair-grad": lambda: bl.gates.FairGrad(2.0),
    "imtl-g": lambda: bl.gates.IMTLG(),
    "aligned-mtl": lambda: bl.gates.AlignedMTL(),
    "config": lambda: bl.gates.ConFIG(),
    "pcgrad": lambda: bl.gates.PCGrad(seed=0),
    "grad-vac": lambda: bl.gates.GradVac(0.1, seed=0),
    "upgrad": lambda: bl.gates.UPGrad(),
}
MODES = {
    "soft": lambda: bl.modes.Soft(),
    "annealed": lambda: bl.modes.Annealed(bl.schedules.exponential(5.0, 0.1, steps=30), bl.modes.entmax15, seed=3),
    "hard": lambda: bl.modes.Hard(),
    "reinmax": lambda: bl.modes.Hard(bl.modes.ReinMax(2)),
}


class ScaledError(keras.Layer):
    """The mean absolute error as a likelihood whose scale trains."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_pred - y_true), -1) / self.scale + tf.math.log(self.scale)


def network():
    return keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])


def blend_of(gate="scheduled", mode="soft"):
    made = GATES[gate]()
    of_residuals = Needs.PENALTIES in made.needs or made.elementwise or Needs.RESIDUAL_GRADIENTS in made.needs
    mae = bl.losses.AbsoluteError() if of_residuals else "mae"
    return bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": mae}, made, MODES[mode]())


def model_of(gate="scheduled", mode="soft", net=None, **named):
    seed()
    model = bl.BlendedModel(network() if net is None else net(), blend_of(gate, mode))
    model.compile(**{"optimizer": "adam", "metrics": ["mae"], **named})
    return model


def fit(model, epochs=2, **named):
    data = {"validation_data": (X, Y), "batch_size": 16, "shuffle": False, "verbose": 0, **named}
    return model.fit(X, Y, epochs=epochs, **data).history


class SavedAfter(keras.callbacks.Callback):
    """Saves the model after so many epochs, as a run that stopped there would; this one goes on.

    So a single model is both the one that never stopped and the one that was saved. `weights` are those it had then.
    """

    def __init__(self, epochs, path):
        super().__init__()
        self.epochs, self.path = epochs, path

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            self.model.save(self.path)
            self.weights = self.model.get_weights()


def evaluate_eagerly(model, x=X, y=Y):
    """What `evaluate` gives, without a trace of it."""
    kept = model.run_eagerly, model.test_function
    model.run_eagerly, model.test_function = True, None
    found = model.evaluate(x, y, batch_size=64, verbose=0, return_dict=True)
    model.run_eagerly, model.test_function = kept
    return found


def assert_same(expected, found):
    """Two lists of weights, bit for bit."""
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same_weights(one, other):
    assert_same(one.get_weights(), other.get_weights())


def assert_two_replicas_are_one_device(model, fit, replicas):
    """What `model` makes is the same after `fit`, on one device and within the scope of `replicas`."""
    one = model()
    expected = fit(one)
    with replicas.scope():
        two = model()
    found = fit(two)
    assert int(tf.convert_to_tensor(two.step)) == int(one.step) == 8
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
