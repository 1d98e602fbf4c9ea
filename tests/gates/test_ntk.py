"""`NTK`: traces of the kernels, exact and by probes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates
from blendloss.gates._from_gradients._kernel_traces import estimated_trace, exact_trace
from blendloss.losses import OutputLoss
from tests.gates.gradients import train
from tests.gates.two_outputs import X, Y, blend_of_two_outputs, model_of, network_of_two_outputs
from tests.gates.values import blend_of


def jacobian_of(model, output):
    """d output / dw in the shared variables, `[N, D]`, built explicitly, in float64."""
    shared = [v for v in model.network.trainable_variables if v.path.startswith(("trunk", "shared"))]
    with tf.GradientTape(persistent=True) as tape:
        residual = tf.reshape(model.network(X, training=True)[output], [-1])
    parts = tape.jacobian(residual, [v.value for v in shared], experimental_use_pfor=False)
    return np.concatenate([part.numpy().reshape(residual.shape[0], -1) for part in parts], axis=1).astype(np.float64)


def step_on(blend, network, step=0):
    with tf.GradientTape(persistent=True) as tape:
        predictions = network(X, training=True)
        values, residuals = blend.values(Y, predictions), blend.residuals(Y, predictions)
    return blend.gradients(tape, values, network.trainable_variables, step=step, residuals=residuals).output.weights


@pytest.mark.parametrize("regime", ["eager", "graph", "xla"])
def test_the_traces_are_those_of_the_kernels_themselves(regime):
    model = model_of(gates.NTK())
    kernels = [jacobian @ jacobian.T for jacobian in (jacobian_of(model, "a"), jacobian_of(model, "b"))]
    assert [len(kernel) for kernel in kernels] == [32, 64]
    traces = np.array([np.trace(kernel) for kernel in kernels])
    run = step_on if regime == "eager" else tf.function(step_on, jit_compile=regime == "xla")
    # Each of some hundred squares is of a sum of a dozen products in float32.
    np.testing.assert_allclose(run(model.blend, model.network), traces.sum() / traces, rtol=1e-5)
    mean = blend_of_two_outputs(gates.NTK("mean"))
    each = traces / [32, 64]
    np.testing.assert_allclose(step_on(mean, model.network), each.mean() / (each + 1e-5 * each.mean()), rtol=1e-5)


def test_a_fit_has_the_weights_of_its_step():
    model = model_of(gates.NTK(every=1), optimizer=keras.optimizers.SGD(0.0))
    traces = np.array([np.square(jacobian_of(model, output)).sum() for output in ("a", "b")])
    history = model.fit(X, Y, batch_size=32, epochs=1, shuffle=False, verbose=0).history
    np.testing.assert_allclose([history["gate/a"][0], history["gate/b"][0]], traces.sum() / traces, rtol=1e-5)


def test_probes_are_unbiased():
    random = np.random.default_rng(0)
    jacobian = random.normal(size=(5, 7))
    kernel = jacobian @ jacobian.T

    def pullback(seed):
        return [tf.linalg.matvec(tf.constant(jacobian, tf.float32), tf.reshape(seed, [-1]), transpose_a=True), None]

    np.testing.assert_allclose(exact_trace(pullback, tf.constant([5, 1])), np.trace(kernel), rtol=1e-6)
    drawn = tf.constant(random.uniform(size=(4000, 1, 5)), tf.float32)
    each = tf.function(lambda u: tf.map_fn(lambda v: estimated_trace(pullback, [5, 1], 1, v), u, tf.float64))
    found = each(drawn)
    # The variance for random signs is 2 sum of squares off the diagonal; five standard errors of 4000.
    deviation = np.sqrt(2 * (np.square(kernel).sum() - np.square(np.diag(kernel)).sum()))
    assert abs(np.mean(found) - np.trace(kernel)) < 5 * deviation / np.sqrt(4000)
    # A sample variance of such has a relative standard error of some multiples of sqrt(2 / 4000).
    np.testing.assert_allclose(np.std(found), deviation, rtol=0.1)


def test_probes_differ_from_step_to_step_and_with_the_seed_and_come_again():
    model = model_of(gates.NTK())

    def weights(seed, step):
        return (
            step_on(blend_of_two_outputs(gates.NTK(probes=2, seed=seed, every=1)), model.network, step).numpy().tolist()
        )

    assert weights(0, 0) == weights(0, 0)
    assert len({tuple(weights(seed, step)) for seed in (0, 1) for step in (0, 1)}) == 4


def test_many_probes_come_near_the_traces():
    model = model_of(gates.NTK())
    exact = step_on(model.blend, model.network).numpy()
    rough = step_on(blend_of_two_outputs(gates.NTK(probes=400, seed=0)), model.network).numpy()
    # Each trace to sqrt(2 / 400) = 7 % at most; the weights' errors are no larger than both traces' together.
    np.testing.assert_allclose(rough, exact, rtol=4 * 2 * np.sqrt(2 / 400))
    assert (rough != exact).any()


def test_residuals_must_be_given():
    blend, variable = blend_of(gates.NTK(), 2), tf.Variable(tf.zeros([2]))
    with pytest.raises(ValueError, match="pass `residuals=blend.residuals"):
        train(blend, variable, np.float32([[3, 0], [0, 4]]))
    model = bl.BlendedModel(
        network_of_two_outputs(), bl.Blend({"a": OutputLoss("a", "mse"), "b": OutputLoss("b", "mae")}, gates.NTK())
    )
    model.compile("sgd")
    with pytest.raises(TypeError, match="A residual is known of penalties alone"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("named", "match"),
    [
        ({"probes": 3}, "`seed` must be given"),
        ({"seed": 3}, "`seed` must be given"),
        ({"form": "root", "probes": 3, "seed": 0}, "`probes` must be None"),
    ],
)
def test_probes_and_seeds_go_together(named, match):
    with pytest.raises(ValueError, match=match):
        gates.NTK(**named)
