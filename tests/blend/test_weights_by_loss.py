"""Sample weights, or a mask, for one loss alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import OutputLoss
from tests.blend.instances import PerExample
from tests.executions import EXECUTIONS

RNG = np.random.default_rng(7)
Y = (RNG.uniform(size=(4, 3, 1)) > 0.5).astype("float32")
P = RNG.uniform(0.1, 0.9, size=(4, 3, 1)).astype("float32")
PIXELS = RNG.uniform(size=(4, 3)).astype("float32")
HALF = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 1]], "float32")
KERAS = {"bce": keras.losses.BinaryCrossentropy, "mse": keras.losses.MeanSquaredError, "dice": keras.losses.Dice}
LOGITS = RNG.normal(size=(4, 2)).tolist()


def losses():
    return {"bce": KERAS["bce"](), "mse": bl.losses.SquaredError(), "dice": KERAS["dice"]()}


def mean_of(name, y, p, weights=None, reduction="sum_over_batch_size"):
    return float(KERAS[name](reduction=reduction)(y, p, weights))


@pytest.mark.parametrize("execution", ["eager", "graph", "xla"])
def test_each_loss_has_its_own_weights(execution):
    blend = bl.Blend(losses(), bl.gates.Fixed([1.0, 2.0, 3.0]))
    run = EXECUTIONS[execution](lambda weights: blend(Y, tf.constant(P), weights))
    for weights in ({"bce": PIXELS}, {"bce": PIXELS, "mse": HALF}, {"dice": PIXELS}, {"mse": None}, {}):
        given = {name: None if one is None else tf.constant(one) for name, one in weights.items()}
        expected = sum(k * mean_of(name, Y, P, weights.get(name)) for k, name in enumerate(blend.names, 1))
        np.testing.assert_allclose(run(given), expected, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
def test_gates_by_example_weigh_what_each_loss_s_weights_leave(reduction):
    by_element = {name: keras.losses.get(name)(Y, P) for name in ("mse", "mae")}
    shares = tf.nn.softmax(LOGITS)
    blend = bl.Blend(
        {"mse": bl.losses.SquaredError(), "mae": bl.losses.AbsoluteError()}, PerExample(LOGITS), reduction=reduction
    )
    found = blend(Y, P, {"mse": PIXELS})
    number = {"sum": 1, "none": 1, "mean_with_sample_weight": PIXELS.sum()}.get(reduction, 12)
    parts = [
        shares[:, :1] * by_element["mse"] * PIXELS / number,
        shares[:, 1:] * by_element["mae"] / (12 if reduction == "mean_with_sample_weight" else number),
    ]
    expected = sum(parts) if reduction == "none" else tf.reduce_sum(sum(parts))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_lazy_choice_and_gates_that_read_the_losses():
    weights = {"bce": PIXELS}
    lazy = bl.Blend(losses(), bl.gates.Fixed([3.0, 2.0, 1.0]), bl.modes.Hard())
    np.testing.assert_allclose(lazy(Y, P, weights), 6 * mean_of("bce", Y, P, PIXELS), rtol=1e-6)
    penalties = bl.Blend(
        {"a": bl.losses.SquaredError(), "mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0, 2.0]), bl.modes.Hard()
    )
    np.testing.assert_allclose(penalties(Y, P, {"mse": PIXELS}), 3 * mean_of("mse", Y, P, PIXELS), rtol=1e-6)
    output = bl.Blend(losses(), bl.gates.Tchebycheff([0.3, 0.3, 0.4])).compute(Y, P, weights, step=0)
    np.testing.assert_allclose(output.losses, [mean_of(name, Y, P, weights.get(name)) for name in KERAS], rtol=1e-6)


def test_a_target_that_one_loss_leaves_out_may_be_missing():
    blend = bl.Blend({"bce": "mse", "mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0, 1.0]))
    missing = np.where(HALF[..., None] == 0, np.nan, Y)
    both = {"bce": HALF, "mse": 2 * HALF}
    np.testing.assert_allclose(blend(missing, P, both), 3 * mean_of("mse", Y, P, HALF), rtol=1e-6)
    assert np.isnan(blend(missing, P, {"bce": HALF}))


def test_losses_of_one_output_take_weights_by_the_names_of_losses():
    of_mask = {
        "bce": OutputLoss("mask", "binary_crossentropy"),
        "dice": OutputLoss("mask", KERAS["dice"]()),
    }
    blend = bl.Blend({**of_mask, "depth": OutputLoss("depth", "mse")}, bl.gates.Fixed([1.0, 1.0, 1.0]))
    y, p = {"mask": Y, "depth": Y}, {"mask": P, "depth": P}
    for weights, each in (
        ({"bce": PIXELS}, [PIXELS, None, None]),
        ({"mask": HALF, "bce": PIXELS}, [PIXELS, HALF, None]),
        ({"depth": HALF, "dice": PIXELS}, [None, PIXELS, HALF]),
    ):
        expected = [mean_of(name, Y, P, one) for name, one in zip(("bce", "dice", "mse"), each, strict=True)]
        np.testing.assert_allclose(blend.compute(y, p, weights).losses, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="must have keys of outputs.*or of losses.*Received: .'other'"):
        blend(y, p, {"other": HALF})


def test_wrong_weights_by_loss_are_refused():
    blend = bl.Blend(losses(), bl.gates.Fixed([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"`sample_weight` must have names of losses as keys.*Received: \['BCE'\]"):
        blend(Y, P, {"BCE": PIXELS})
    gate = bl.gates.ExponentialFamily()
    with pytest.raises(ValueError, match="`sample_weight` must be one for all losses. Received: weights of"):
        bl.Blend({"mse": bl.losses.SquaredError()}, gate)(Y, P, {"mse": PIXELS}, step=0)


@pytest.mark.parametrize("data", ["arrays", "dataset"])
@pytest.mark.parametrize("gate", [lambda: bl.gates.Fixed([1.0, 2.0, 3.0]), bl.gates.MGDA], ids=["fixed", "mgda"])
def test_fit_takes_weights_by_loss(gate, data):
    network = keras.Sequential([keras.layers.Input((3, 1)), keras.layers.Dense(1, activation="sigmoid")])
    model = bl.BlendedModel(network, bl.Blend(losses(), gate()))
    model.compile(keras.optimizers.SGD(0.0), metrics=["mae"])
    given = (P, Y, {"bce": PIXELS, "mse": HALF})
    if data == "arrays":
        x, arguments = P, {"y": Y, "sample_weight": given[2], "batch_size": 4}
    else:
        x, arguments = tf.data.Dataset.from_tensor_slices(given).batch(4), {}
    history = model.fit(x, **arguments, shuffle=False, verbose=0, validation_data=given).history
    found = network(P)
    for name, weights in (("bce", PIXELS), ("mse", HALF), ("dice", None)):
        np.testing.assert_allclose(history[f"loss/{name}"][0], mean_of(name, Y, found, weights), rtol=1e-5)
        np.testing.assert_allclose(history[f"val_loss/{name}"][0], mean_of(name, Y, found, weights), rtol=1e-5)
