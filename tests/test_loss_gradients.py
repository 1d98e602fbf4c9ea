"""Per-loss gradients against NumPy, and the gradient of a blend by any other gate against `combine`."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import LossGradients, Needs
from tests.gates.instances import GATES
from tests.loss_gradients import MODES, PLACES, Layers

RNG = np.random.default_rng(0)


# What is measured


@pytest.mark.parametrize(("measured", "places"), PLACES, ids=lambda value: str(value))
def test_measures_are_those_of_numpy(measured, places):
    layers = Layers()
    gradients, rows = layers.gradients(measured), layers.rows(places)
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    np.testing.assert_allclose(gradients.norms(), np.linalg.norm(rows, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(gradients.largest(), np.abs(rows).max(1))
    np.testing.assert_allclose(gradients.mean_sizes(), np.abs(rows).mean(1), rtol=1e-6)  # sums of each in float64
    assert len(gradients) == 2
    assert [tuple(rows.shape) for rows in gradients.matrices()] == [
        (2, int(np.prod(list(layers.shapes.values())[place]))) for place in places
    ]


@pytest.mark.parametrize("sizes", [(1e30, 1.0), (1e-30, 1e-30), (1e30, 1e-30)], ids=str)
def test_huge_and_tiny_gradients_keep_their_squares(sizes):
    layers = Layers(sizes=sizes)
    gradients, rows = layers.gradients(), layers.rows([0, 1, 2])
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    np.testing.assert_allclose(gradients.norms(), np.linalg.norm(rows, axis=1), rtol=1e-13)
    assert gradients.gram().dtype == gradients.norms().dtype == gradients.largest().dtype == tf.float64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_dtype_is_measured(dtype):
    layers = Layers(dtype="float32" if dtype == "bfloat16" else dtype)
    if dtype == "bfloat16":
        layers.variables = [tf.Variable(tf.cast(v, dtype), name=v.name[:-2]) for v in layers.variables]
        layers.factors = [[None if f is None else tf.cast(f, dtype) for f in row] for row in layers.factors]
    gradients, rows = layers.gradients(), layers.rows([0, 1, 2])
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    assert all(part.dtype == (dtype if dtype == "float64" else tf.float32) for part in gradients.matrices())
    combined = gradients.combined(tf.constant([0.5, 2.0]))
    assert all(part.dtype == dtype for part in combined if part is not None)


def test_scale_and_share_are_of_the_backward_pass():
    """Measures of one replica of two of a scaled step: with the share, which the replicas add up, without the scale."""
    layers = Layers()
    gradients, rows = layers.gradients(share=tf.constant(0.5), scale=tf.constant(1024.0)), layers.rows([0, 1, 2])
    np.testing.assert_allclose(gradients.norms(), np.linalg.norm(rows, axis=1) / 2, rtol=1e-13)
    for found in (gradients.combined([1.0, 3.0]), layers.gradients(share=0.5, scale=1024.0).combined([1.0, 3.0])):
        np.testing.assert_allclose(
            found[1], 512 * (layers.factors[0][1] + 3 * layers.factors[1][1]), rtol=0, atol=512 * 4 * 2.0**-21
        )


def test_one_loss_measures_every_variable_it_acts_on():
    layers = Layers()
    with tf.GradientTape(persistent=True) as tape:
        losses = layers.losses()[:1]
    gradients = LossGradients(tape, losses, layers.variables)
    expected = np.sqrt(sum((f**2).sum() for f in layers.factors[0] if f is not None))
    np.testing.assert_allclose(gradients.norms(), [expected], rtol=1e-6)


def test_a_loss_that_acts_on_no_variable_has_gradient_0():
    layers = Layers()
    with tf.GradientTape(persistent=True) as tape:
        losses = [*layers.losses(), tf.constant(3.0)]
    gradients = LossGradients(tape, losses, layers.variables)
    rows = np.vstack([layers.rows([0, 1, 2]), np.zeros(19)])
    np.testing.assert_allclose(gradients.gram(), rows @ rows.T, rtol=1e-13)
    assert float(gradients.mean_sizes()[2]) == float(gradients.largest()[2]) == 0.0
    found = gradients.combined([0.0, 0.0, 7.0])
    assert [None if part is None else float(tf.reduce_max(tf.abs(part))) for part in found] == [0, 0, 0, 0, 0, None]


@pytest.mark.parametrize(
    ("measured", "losses", "message"),
    [
        (["no/such"], None, r"`variables` must match some of \['trunk/lower:0'"),
        (["idle/*"], None, "must act on at least one measured variable"),
        ("shared", "heads", "At least two losses must act on one variable"),
        ("last", "heads", "At least two losses must act on one variable"),
        ("shared", "none", "must act on at least one of the variables"),
    ],
    ids=str,
)
def test_variables_that_cannot_be_measured_are_refused(measured, losses, message):
    layers = Layers()
    with tf.GradientTape(persistent=True) as tape:
        heads = [tf.reduce_sum(layers.variables[3]), tf.reduce_sum(layers.variables[4])]
        given = {None: layers.losses(), "heads": heads, "none": [tf.constant(1.0), tf.constant(2.0)]}[losses]
    with pytest.raises(ValueError, match=message):
        LossGradients(tape, given, layers.variables, measured).gram()


def test_last_of_variables_without_layers_is_the_last():
    with tf.GradientTape(persistent=True) as tape:
        variables = [tf.Variable(1.0), tf.Variable(1.0)]  # of one name
        losses = [2 * variables[0] + 3 * variables[1], 4 * variables[0] + 5 * variables[1]]
    np.testing.assert_allclose(LossGradients(tape, losses, variables, "last").norms(), [3, 5], rtol=1e-15)


def test_keras_variables_have_paths():
    network = keras.Sequential([keras.Input([2]), keras.layers.Dense(3, name="one"), keras.layers.Dense(2, name="two")])
    with tf.GradientTape(persistent=True) as tape:
        output = network(tf.ones([1, 2]))
        losses = [output[0, 0], output[0, 1] + output[0, 0]]
    sizes = {
        name: sum(rows.shape[1] for rows in LossGradients(tape, losses, network.trainable_variables, name).matrices())
        for name in ("shared", "last")
    }
    assert sizes == {"shared": 6 + 3 + 6 + 2, "last": 6 + 2}
    (kernel,) = LossGradients(tape, losses, network.trainable_variables, ["*one/kernel"]).matrices()
    assert kernel.shape == (2, 6)


# Sums


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_combined_is_the_weighted_sum(own, known):
    layers = Layers()
    gradients = layers.gradients()
    if known:
        gradients.gram()
    weights = [0.25, -3.0]
    found = gradients.combined(weights, own=own)
    assert found[5] is None
    for place in range(5):
        factors = [row[place] for row in layers.factors]
        alone = own and place > 2
        expected = sum((1.0 if alone else w) * f for w, f in zip(weights, factors, strict=True) if f is not None)
        np.testing.assert_allclose(found[place], expected, rtol=0, atol=4 * 2.0**-23 * 8)


def test_a_weight_of_0_keeps_an_infinite_gradient_out_of_known_ones():
    w = tf.Variable([4.0])
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(w**2), tf.reduce_sum(tf.sqrt(w - 4.0))]
    gradients = LossGradients(tape, losses, [w])
    assert np.isinf(gradients.each[1][0])
    np.testing.assert_array_equal(gradients.combined([0.5, 0.0])[0], [4.0])


def test_embeddings_are_dense():
    table = tf.Variable(RNG.normal(size=(5, 2)).astype("float32"), name="table")
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_sum(tf.gather(table, [0, 2, 2])), tf.reduce_sum(3 * tf.gather(table, [2, 4]))]
    gradients = LossGradients(tape, losses, [table])
    np.testing.assert_array_equal(gradients.gram(), [[10.0, 12.0], [12.0, 36.0]])
    expected = np.float32([[1], [0], [5], [0], [3]]) * np.ones([1, 2], "float32")
    np.testing.assert_array_equal(gradients.combined([1.0, 1.0])[0], expected)
    np.testing.assert_array_equal(LossGradients(tape, losses, [table]).combined([1.0, 1.0])[0], expected)


def test_gradients_of_residuals():
    """`of` with the residuals as targets: what a gate of the tangent kernel asks for."""
    w = tf.Variable([1.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        residuals = [w * 3.0, w**2]
        losses = [tf.reduce_mean(r**2) for r in residuals]
    gradients = LossGradients(tape, losses, [w], residuals=residuals)
    (found,) = gradients.of(gradients.residuals, [tf.constant([1.0, 0.0]), tf.constant([0.0, 1.0])])
    np.testing.assert_array_equal(found, [3.0, 4.0])


OF_BATCH = Needs.RESIDUAL | Needs.PENALTIES | Needs.FEATURES | Needs.GRADIENTS
FOR_COMBINE = [case for case in GATES if not (case.make().needs & OF_BATCH or case.make().elementwise)]


# `Blend.gradients` with gates that look at no gradient


def three(w, k):
    """K losses of two variables; the gate's step sees other values in each."""
    parts = [tf.reduce_sum(w[0] ** 2) + w[1], tf.exp(w[1]) * tf.reduce_mean(w[0] ** 4), tf.reduce_sum(tf.abs(w[0]))]
    return dict(zip("abc", parts[:k], strict=False))


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", FOR_COMBINE, ids=[case.id for case in FOR_COMBINE])
def test_any_other_gate_has_the_gradient_of_combine(case, mode, persistent):
    names = list("abc")[: case.k]
    one, other = (bl.Blend(names, case.make(), MODES[mode]()) for _ in range(2))
    w = [tf.Variable([0.5, -1.5], name="w"), tf.Variable(0.25, name="b")]
    for step in range(3):
        with tf.GradientTape(persistent=persistent) as tape:
            values = three(w, case.k)
        found = one.gradients(tape, values, w + one.trainable_variables, step=step)
        with tf.GradientTape() as tape:
            output = other.compute_from_values(three(w, case.k), step=step)
        expected = tape.gradient(output.value, w + other.trainable_variables, unconnected_gradients="zero")
        np.testing.assert_array_equal(found.output.value, output.value)
        np.testing.assert_array_equal(found.output.weights, output.weights)
        for a, b in zip(found.gradients, expected, strict=True):
            # The weights are applied where the losses are, not after: other products, of numbers below 8.
            np.testing.assert_allclose(0 if a is None else a, b, rtol=1e-6, atol=1e-6)
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_gates_that_work_with_combine_are_among_them():
    assert {"fixed", "learned", "bayesian-dirichlet"} <= {case.id for case in FOR_COMBINE}
