"""Blends of losses of several outputs, against sums in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import OutputLoss
from tests.losses.several_outputs import (
    PREDICTED,
    REDUCTIONS,
    RNG,
    ROUNDING,
    SAMPLE,
    TRUE,
    WEIGHTS,
    blend_of,
    by_element,
    reduced,
    spread,
)

# Values


@pytest.mark.parametrize("kind", ["dict", "list", "tuple"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sample", ["none", "all", "by-output"])
def test_the_blend_is_the_sum_in_numpy(kind, reduction, sample):
    values = by_element()
    own: Any = {
        "none": [None] * 3,
        "all": [SAMPLE] * 3,
        "by-output": [SAMPLE, None, RNG.uniform(size=(6, 4)).astype("float32")],
    }[sample]
    weights = [spread(w, v) if w is None or w.ndim == 1 else w for w, v in zip(own, values, strict=True)]
    expected = [reduced(v, w, reduction) for v, w in zip(values, weights, strict=True)]
    given: Any = {"none": None, "all": SAMPLE, "by-output": dict(zip(TRUE, own, strict=True))}[sample]
    keys: tuple[Any, ...]
    y_true, y_pred, keys = TRUE, PREDICTED, tuple(TRUE)
    if kind != "dict":
        make = {"list": list, "tuple": tuple}[kind]
        y_true, y_pred, keys = make(TRUE.values()), make(PREDICTED.values()), (0, 1, -1)
        given = make(own) if sample == "by-output" else given
    blend = blend_of(keys=keys, reduction=reduction)
    output = blend.compute(y_true, y_pred, given)
    np.testing.assert_allclose(output.losses, expected, **ROUNDING)
    np.testing.assert_allclose(output.value, np.dot(WEIGHTS, expected), **ROUNDING)
    values = blend.values(y_true, y_pred, given)
    np.testing.assert_array_equal(list(values.values()), output.losses)


def test_a_mask_belongs_to_its_output():
    output = tf.constant(PREDICTED["map"])
    output._keras_mask = tf.constant([[True, True, False, False]] * 6)
    output = blend_of().compute(TRUE, {**PREDICTED, "map": output})
    values = by_element()
    np.testing.assert_allclose(output.losses, [values[0].mean(), values[1].mean(), values[2][:, :2].mean()], **ROUNDING)


def test_several_losses_of_one_output():
    blend = bl.Blend({"l2": OutputLoss("depth", "mse"), "l1": OutputLoss("depth", "mae")}, bl.gates.Fixed([0.5, 2.0]))
    residual = np.abs(PREDICTED["depth"] - TRUE["depth"])
    value = blend(TRUE, {"depth": PREDICTED["depth"]})
    np.testing.assert_allclose(value, 0.5 * (residual**2).mean() + 2 * residual.mean(), **ROUNDING)


def test_outputs_of_other_numbers_of_examples():
    """Of a differential equation: few observations, and many points at which the equation must hold."""
    blend = bl.Blend(
        {
            "data": OutputLoss("u", "mse"),
            "equation": OutputLoss("pde", "mse", 0.0),
            "edge": OutputLoss("edge", "mae", 0.0),
        },
        bl.gates.Uncertainty(),
    )
    y_pred = {"u": np.full((2, 1), 3.0, "float32"), "pde": np.full((50, 1), 2.0, "float32"), "edge": np.ones([7])}
    output = blend.compute({"u": np.ones((2, 1))}, y_pred, step=0)
    np.testing.assert_array_equal(output.losses, [4, 4, 1])


def test_nothing_but_constants_needs_no_targets():
    blend = bl.Blend(
        {"pde": OutputLoss("pde", "mse", 0.0), "edge": OutputLoss("edge", "mae", 1.0)}, bl.gates.Fixed([1, 2])
    )
    assert float(blend(None, {"pde": [[3.0]], "edge": [[2.0]]})) == 11.0


def test_classes_beside_residuals():
    blend = bl.Blend(
        {"depth": OutputLoss("depth", "mse"), "label": OutputLoss("label", "sparse_categorical_crossentropy")},
        bl.gates.Fixed([1, 1]),
    )
    probabilities = np.full((6, 4), 0.25, "float32")
    output = blend.compute({**TRUE, "label": np.arange(6) % 4}, {**PREDICTED, "label": probabilities})
    np.testing.assert_allclose(output.losses[1], np.log(4), **ROUNDING)


def test_the_widest_dtype_is_that_of_the_blend():
    blend = blend_of()
    half = {**PREDICTED, "depth": PREDICTED["depth"].astype("float16")}
    assert blend(TRUE, half).dtype == tf.float32
    double = {**half, "map": PREDICTED["map"].astype("float64")}
    assert blend(TRUE, double).dtype == tf.float64
    assert all(value.dtype == tf.float64 for value in blend.values(TRUE, double).values())


@pytest.mark.parametrize("predicted", [[np.inf], [np.nan]])
def test_an_output_with_weight_0_is_off(predicted):
    outputs = {"a": tf.constant([[2.0]]), "b": tf.constant([predicted])}
    blend = bl.Blend({"a": OutputLoss("a", "mse", 0.0), "b": OutputLoss("b", "mse", 0.0)}, bl.gates.Fixed([1, 0]))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        value = blend(None, outputs)
    slopes = tape.gradient(value, outputs)
    assert float(value) == 4.0
    assert [float(slope[0, 0]) for slope in slopes.values()] == [4.0, 0.0]


def test_a_lazy_mode_evaluates_the_chosen_output_alone():
    blend = blend_of(bl.gates.Scheduled(bl.schedules.switch_at(3)), mode=bl.modes.Hard(), keys=tuple(TRUE))
    output = blend.compute(TRUE, PREDICTED, {"normal": SAMPLE}, step=3)
    np.testing.assert_array_equal(np.isnan(output.losses), [True, False, True])
    np.testing.assert_allclose(output.value, reduced(by_element()[1], SAMPLE), **ROUNDING)


# Gates


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sample", [None, SAMPLE], ids=["plain", "weighted"])
def test_weights_of_each_example(reduction, sample):
    """g(x), `[batch, K]`, weighs each example of each output: sum_k of the reduced g_k l_k."""
    features = RNG.normal(size=(6, 2)).astype("float32")
    chooser = keras.Sequential([keras.Input([2]), keras.layers.Dense(3)])
    blend = blend_of(bl.gates.Network(chooser), reduction=reduction)
    output = blend.compute(TRUE, PREDICTED, sample, step=0, features=features)
    shares = np.exp(chooser(features).numpy().astype("float64"))
    shares /= shares.sum(-1, keepdims=True)
    values = by_element()
    weights = [spread(sample, v) for v in values]
    losses = [reduced(v, w, reduction) for v, w in zip(values, weights, strict=True)]
    parts = [spread(shares[:, k], v) * v for k, v in enumerate(values)]
    blended = sum(reduced(part, w, reduction) for part, w in zip(parts, weights, strict=True))
    np.testing.assert_allclose(output.losses, losses, **ROUNDING)
    np.testing.assert_allclose(output.weights, shares.mean(0), **ROUNDING)
    # Beside the sums: a softmax of logits of size 3, whose rounding it passes on.
    np.testing.assert_allclose(output.value, blended, rtol=4 * ROUNDING["rtol"])


COSTS = {
    "uncertainty": lambda: bl.gates.Uncertainty(initial=[0.5, 1.0, 2.0]),
    "bayesian": lambda: bl.gates.Bayesian(bl.gates.families.Dirichlet([0.5, 1, 2]), examples=6, seed=1),
}


@pytest.mark.parametrize("gate", COSTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sample", ["none", "all", "list", "by-output"])
def test_a_cost_of_each_example_is_counted_by_the_first_output(gate, reduction, sample):
    """Uncertainty's log sigma is of each example; Bayesian's divergence is added once."""
    given = {"none": None, "all": SAMPLE, "list": SAMPLE.tolist(), "by-output": dict.fromkeys(TRUE, SAMPLE)}[sample]
    blend = blend_of(COSTS[gate](), reduction=reduction)
    one = float(blend_of(blend.gate).compute(TRUE, PREDICTED, step=0).cost)
    output = blend.compute(TRUE, PREDICTED, given, step=0)
    # Weights by output belong to no single output: then each example counts alike.
    counted = reduced(np.ones(6), SAMPLE if sample in ("all", "list") else None, reduction)
    factor = 1 if gate == "bayesian" else counted
    np.testing.assert_allclose(output.cost, one * factor, **ROUNDING)
    blended = np.dot(output.weights, output.losses) + output.cost
    np.testing.assert_allclose(output.value, blended, **ROUNDING)


def test_what_trains_in_an_output_loss_is_the_blends():
    """Keras looks for variables in lists and dicts, not in an `OutputLoss`."""
    loss = bl.losses.AdaptiveBarron()
    blend = bl.Blend({"a": OutputLoss("depth", loss), "b": OutputLoss("normal", "mse")}, bl.gates.Learned())
    assert {id(v) for v in loss.trainable_variables} < {id(v) for v in blend.trainable_variables}
    assert len(blend.trainable_variables) == 3
    with pytest.raises(ValueError, match="a loss trains"):
        bl.Blend({"a": OutputLoss("depth", loss)}, bl.gates.Fixed([1]))(TRUE, PREDICTED)


def test_what_trains_in_an_output_loss_is_saved(tmp_path):
    def model():
        inputs = keras.Input([2])
        outputs = {"depth": keras.layers.Dense(1)(inputs), "normal": keras.layers.Dense(3)(inputs)}
        losses = {"a": OutputLoss("depth", bl.losses.AdaptiveBarron()), "b": OutputLoss("normal", "mse")}
        return bl.BlendedModel(keras.Model(inputs, outputs), bl.Blend(losses, bl.gates.Learned()))

    trained = model()
    trained.compile(keras.optimizers.SGD(0.1))
    trained.fit(np.ones((6, 2)), TRUE, verbose=0)
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    alpha, scale = loaded.blend.functions["a"].loss.alpha_and_scale()
    assert (float(alpha), float(scale)) == tuple(map(float, trained.blend.functions["a"].loss.alpha_and_scale()))
    assert float(scale) != 1.0


# Mistakes


def test_output_losses_are_all_or_none():
    with pytest.raises(ValueError, match="`losses` must all be of type `OutputLoss`, or none of them"):
        bl.Blend({"a": OutputLoss("a", "mse"), "b": "mse"}, bl.gates.Fixed([1, 1]))


def test_output_losses_are_reduced():
    with pytest.raises(ValueError, match="must be reduced. Received: reduction='none'"):
        blend_of(reduction="none")


@pytest.mark.parametrize(
    ("gate", "error", "message"),
    [
        (
            lambda: bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1, 2], width=1),
            ValueError,
            "several outputs",
        ),
        (lambda: bl.gates.ExponentialFamily(), TypeError, "must be a penalty"),
        (lambda: bl.gates.ByResidual([1.0, 2.0]), (TypeError, ValueError), "several outputs|must be a penalty"),
        (lambda: bl.gates.Learned(normalize="likelihood"), ValueError, "several outputs"),
    ],
    ids=["residual-state", "exponential-family", "by-residual", "likelihood"],
)
def test_gates_of_residuals_are_refused(gate, error, message):
    with pytest.raises(error, match=message):
        blend_of(gate())


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        ({"dpeth": SAMPLE}, r"`sample_weight` must have keys of outputs.*Received: \['dpeth'\]"),
        ({"depth": np.ones((6, 2))}, "must not have more axes"),
    ],
    ids=["key", "axes"],
)
def test_weights_of_no_output(sample_weight, message):
    with pytest.raises(ValueError, match=message):
        blend_of()(TRUE, PREDICTED, sample_weight)


def test_a_list_of_weights_has_one_for_each_output():
    blend = blend_of(keys=(0, 1, 2))
    with pytest.raises(ValueError, match="an entry for each of the 3 outputs.*Received: 2"):
        blend(list(TRUE.values()), list(PREDICTED.values()), [SAMPLE, SAMPLE])


@pytest.mark.parametrize("outputs", [dict(PREDICTED), [tf.zeros([2, 1]), tf.zeros([2, 1])]], ids=["dict", "list"])
def test_other_losses_read_one_output(outputs):
    with pytest.raises(TypeError, match="which name the output that they read"):
        bl.Blend({"a": "mse"}, bl.gates.Fixed([1]))(TRUE, outputs)


# Regimes


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("gate", ["fixed", "network", "uncertainty"])
def test_one_trace_for_every_batch_size(gate, jit_compile):
    made = {
        "fixed": lambda: bl.gates.Fixed(WEIGHTS),
        "network": lambda: bl.gates.Network(keras.Sequential([keras.Input([1]), keras.layers.Dense(3)])),
        "uncertainty": lambda: bl.gates.Uncertainty(),
    }[gate]()
    blend, traces = blend_of(made), []

    @tf.function(reduce_retracing=True, jit_compile=jit_compile)
    def value(y_true, y_pred, weights, step):
        traces.append(1)
        return blend(y_true, y_pred, weights, step=step, features=y_pred["depth"])

    def spec(tensor):
        return tf.TensorSpec([None, *tensor.shape[1:]])

    specs = [tf.nest.map_structure(spec, tree) for tree in (TRUE, PREDICTED, {"map": SAMPLE})]
    compiled = value.get_concrete_function(*specs, tf.TensorSpec([], tf.int64))
    for number in (6, 1, 3):
        part = tf.nest.map_structure(lambda t, n=number: tf.constant(t[:n]), (TRUE, PREDICTED, {"map": SAMPLE}))
        eagerly = blend(*part, step=0, features=part[1]["depth"])
        np.testing.assert_allclose(compiled(*part, tf.constant(0, tf.int64)), eagerly, **ROUNDING)
    assert len(traces) == 1
