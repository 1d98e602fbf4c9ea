"""With Keras's floatx at float64, or predictions in it, nothing is rounded to float32 on the way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import Needs
from tests.keras.models import GATES, MODES

Y = np.random.default_rng(0).normal(size=(6, 2))
P = np.random.default_rng(1).normal(size=(6, 2))
LOSSES = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(1 / 3), "mae": bl.losses.AbsoluteError()}
RESIDUAL = np.abs(P - Y)
VALUES = np.array(
    [
        (RESIDUAL**2).mean(),
        np.where(RESIDUAL < 1 / 3, RESIDUAL**2 / 2, (RESIDUAL - 1 / 6) / 3).mean(),
        RESIDUAL.mean(),
    ]
)


@pytest.fixture
def double():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")


def softmax(logits):
    weights = np.exp(np.asarray(logits))
    return weights / weights.sum()


def cyclic():
    return bl.schedules.cyclic([1 / 3, 1 / 7, 1 / 9], period=3)


def joined():
    return bl.schedules.join([1 / 7, 1 / 3], [2])


CASES = [
    pytest.param(lambda: (bl.gates.Fixed([1 / 3, 1 / 7, 1 / 9]),), [1 / 3, 1 / 7, 1 / 9], id="fixed"),
    pytest.param(lambda: (bl.gates.Scheduled(cyclic()),), [1 / 3, 1 / 7, 1 / 9], id="cyclic"),
    pytest.param(lambda: (bl.gates.Scheduled(joined()),), [2 / 3, 1 / 3, 0], id="joined"),
    pytest.param(
        lambda: (bl.gates.Learned([1 / 3, 1 / 7, 0.0]), bl.modes.Annealed(joined())),
        softmax([1, 3 / 7, 0]),
        id="annealed",
    ),
    pytest.param(lambda: (bl.gates.Uncertainty(initial=1 / 7),), None, id="uncertainty"),
]


@pytest.mark.parametrize(("make", "weights"), CASES)
def test_the_blend_is_that_of_numpy(double, make, weights):
    gate, *mode = make()
    found = float(bl.Blend(LOSSES, gate, *mode)(Y, P, step=4))
    if weights is None:
        expected = np.sum(np.exp(-1 / 7) * VALUES / 2 + 1 / 14)
    else:
        expected = np.dot(weights, VALUES)
    np.testing.assert_allclose(found, expected, rtol=1e-15 * 4)


def test_initial_values_are_rounded_once():
    loss = bl.losses.AdaptiveBarron(dtype="float64", initial_alpha=1 / 6)
    np.testing.assert_allclose(loss.alpha_and_scale()[0], 1 / 6, rtol=1e-15)
    gate = bl.gates.Bayesian(bl.gates.families.Dirichlet(1 / 3), examples=1, seed=0, dtype="float64")
    bl.Blend(LOSSES, gate)
    np.testing.assert_allclose(gate.posterior().concentration, 1 / 3, rtol=1e-15)


def test_regularizers_coefficients_are_not_rounded():
    entropy = bl.gates.regularizers.Entropy(1 / 3)(np.array([0.25, 0.75]))
    np.testing.assert_allclose(entropy, (0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / 3, rtol=1e-15)


def floats(graph):
    """The operations with a result in float32, of a graph and the functions it calls."""
    bodies = [function.graph for function in graph._functions.values() if hasattr(function, "graph")]
    return [
        (operation.name, operation.type)
        for part in [graph, *bodies]
        for operation in part.get_operations()
        if any(output.dtype == tf.float32 for output in operation.outputs)
    ]


@pytest.mark.parametrize(
    ("gate", "mode"), [*((gate, "soft") for gate in GATES), *(("learned", mode) for mode in MODES if mode != "soft")]
)
def test_nothing_is_float32(double, gate, mode):
    made = GATES[gate]()
    blend = bl.Blend(LOSSES, made, MODES[mode]())
    assert made.dtype == blend.dtype == "float64"
    assert not [variable.path for variable in blend.variables if variable.dtype == "float32"]
    if Needs.GRADIENTS in made.needs:
        return
    features = tf.constant(np.ones([6, 4])) if Needs.FEATURES in made.needs else None

    @tf.function
    def step(y, p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = blend(y, p, step=tf.constant(3), features=features)
        return tape.gradient(value, [p, *blend.trainable_variables])

    found = floats(step.get_concrete_function(tf.constant(Y), tf.constant(P)).graph)
    assert not [one for one in found if "igammainv" not in one[0]]  # TensorFlow Probability's: a tolerance
