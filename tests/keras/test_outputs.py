"""Outputs as Keras names and nests them: lists with names, paths, a dict or list of one."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import OutputLoss
from tests.seeding import seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype("float32")
Y = RNG.normal(size=(6, 1)).astype("float32")
W = np.arange(6.0)


def outputs(structure):
    """A network whose outputs have the names, in the structure, of `structure`."""
    seed()
    inputs = keras.Input([3])
    shared = keras.layers.Dense(4, "tanh")(inputs)
    made = keras.tree.map_structure(lambda name: keras.layers.Dense(1, name=name)(shared), structure)
    return keras.Model(inputs, made)


def blended(structure, losses, gate=None, **named):
    blend = bl.Blend(losses, bl.gates.Fixed([1.0] * len(losses)) if gate is None else gate)
    model = bl.BlendedModel(outputs(structure), blend)
    model.compile(keras.optimizers.SGD(0.1), **named)
    return model


def plain(structure, loss, **named):
    model = outputs(structure)
    model.compile(keras.optimizers.SGD(0.1), loss=loss, **named)
    return model


def assert_same_training(model, twin, y, twins_y=None, **data):
    """The same metrics by the same names, the same loss and weights."""
    found = model.fit(X, y, verbose=0, epochs=2, **data).history
    expected = twin.fit(X, y if twins_y is None else twins_y, verbose=0, epochs=2, **data).history
    metrics = {name for name in expected if not name.endswith("_loss")}
    assert {name for name in found if "/" not in name} == metrics
    for name in metrics:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)
    for ours, theirs in zip(model.network.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


LIST = ["depth", "normal"]
TARGETS = {"list": [Y, 2 * Y], "tuple": (Y, 2 * Y), "names": {"depth": Y, "normal": 2 * Y}}


@pytest.mark.parametrize(
    ("keys", "metrics"),
    [
        pytest.param(LIST, {"depth": ["mae"], "normal": ["mse"]}, id="by-name"),
        pytest.param([0, 1], [["mae"], ["mse"]], id="by-index"),
    ],
)
@pytest.mark.parametrize("targets", TARGETS)
def test_a_list_of_outputs_has_names(keys, targets, metrics):
    model = blended(LIST, {"a": OutputLoss(keys[0], "mse"), "b": OutputLoss(keys[1], "mae")}, metrics=metrics)
    given: Any = TARGETS[targets]
    container = type(given)
    # Keras takes no weights by name here, and weights in the container of the targets only.
    weights = {} if targets == "names" else {"sample_weight": container([W, 2 * W])}
    assert_same_training(model, plain(LIST, ["mse", "mae"], metrics=metrics), given, **weights)


def test_weights_by_name_of_a_list_of_outputs():
    losses = {"a": OutputLoss("depth", "mse"), "b": OutputLoss(1, "mae")}
    by_name = blended(LIST, {"a": OutputLoss("depth", "mse"), "b": OutputLoss("normal", "mae")})
    by_index = blended(LIST, {"a": OutputLoss(0, "mse"), "b": OutputLoss(1, "mae")})
    found = [
        model.evaluate(X, TARGETS["names"], sample_weight={"depth": W, "normal": 2 * W}, verbose=0)
        for model in (by_name, by_index)
    ]
    expected = plain(LIST, ["mse", "mae"]).evaluate(X, TARGETS["list"], sample_weight=[W, 2 * W], verbose=0)
    np.testing.assert_allclose([values[0] for values in found], expected[0], rtol=1e-6)
    with pytest.raises(KeyError, match="must have 1"):  # names and indices together
        blended(LIST, losses).evaluate(X, TARGETS["list"], verbose=0)


@pytest.mark.parametrize("gate", [bl.gates.MGDA, bl.gates.FAMO])
def test_gates_of_gradients_and_progress_read_outputs_by_name(gate):
    by_name = blended(LIST, {"a": OutputLoss("depth", "mse"), "b": OutputLoss("normal", "mae")}, gate())
    by_index = blended(LIST, {"a": OutputLoss(0, "mse"), "b": OutputLoss(1, "mae")}, gate())
    by_name.fit(X, TARGETS["list"], verbose=0)
    by_index.fit(X, TARGETS["names"], verbose=0)
    for a, b in zip(by_name.get_weights(), by_index.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_held_out_target_reads_outputs_by_name():
    logits = []
    for key in ("depth", 0):
        blend = bl.Blend({"a": OutputLoss("depth", "mse"), "b": OutputLoss("normal", "mae")}, bl.gates.Learned())
        rule = bl.keras.HeldOut(OutputLoss(key, "mse"), batch_size=6)
        model = bl.BlendedModel(outputs(LIST), blend, held_out=rule)
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(X, TARGETS["list"], held_out_data=(X, TARGETS["list"]), verbose=0)
        logits.append(blend.gate.logits.numpy())
    np.testing.assert_array_equal(*logits)
    assert logits[0].any()


NESTED = {"a": {"b": "one", "c": "two"}, "d": ["three", "four"]}
PATHS = ["a/b", "a/c", "d/0", "d/1"]


@pytest.mark.parametrize("weighted", [False, True])
def test_nested_outputs(weighted):
    metrics = {"a": {"b": ["mae"], "c": None}, "d": [["mse"], ["mae"]]}
    targets = {"a": {"b": Y, "c": 2 * Y}, "d": [3 * Y, 4 * Y]}
    weights = {"sample_weight": {"a": {"b": W, "c": 2 * W}, "d": [3 * W, W]}} if weighted else {}
    model = blended(
        NESTED,
        {path: OutputLoss(path, loss) for path, loss in zip(PATHS, ["mse", "mae"] * 2, strict=True)},
        metrics=metrics,
    )
    twin = plain(NESTED, {"a": {"b": "mse", "c": "mae"}, "d": ["mse", "mae"]}, metrics=metrics)
    assert_same_training(model, twin, targets, **weights)
    again = bl.Blend.from_config(model.blend.get_config())
    y_pred = model(X)
    np.testing.assert_array_equal(again(targets, y_pred), model.blend(targets, y_pred))


@pytest.mark.parametrize(
    ("path", "message"), [("a/x", "must have 'a/x'"), ("d/2", "must have 'd/2'"), ("a/b/c", "must")]
)
def test_a_path_to_no_output_raises(path, message):
    model = blended(NESTED, {"loss": OutputLoss(path, "mse")})
    with pytest.raises(KeyError, match=message):
        model.blend({"a": {"b": Y, "c": Y}, "d": [Y, Y]}, model(X))


@pytest.mark.parametrize(
    ("output", "weights"),
    [
        pytest.param("d", [1.0, 0.0], id="list-of-numbers"),
        pytest.param("d", {"d": [1.0, 0.0]}, id="by-output"),
        pytest.param("d", np.array([1.0, 0.0]), id="array"),
        pytest.param("a/b", {"a": [1.0, 0.0]}, id="of-all-on-a-path"),
        pytest.param("a/b", {"a": {"b": [1.0, 0.0]}}, id="nested"),
        pytest.param("a/b", [1.0, 0.0], id="list-for-a-path"),
    ],
)
def test_sample_weights_of_an_output_may_be_given_in_every_form(output, weights):
    y, p = np.zeros((2, 1), "float32"), np.array([[1.0], [3.0]], "float32")
    structure = (lambda part: {"d": part}) if output == "d" else (lambda part: {"a": {"b": part}})
    blend = bl.Blend({"one": OutputLoss(output, "mse")}, bl.gates.Fixed([1.0]))
    assert float(blend(structure(y), structure(p), weights)) == 0.5
    several = bl.Blend(
        {"one": OutputLoss((output,), lambda y, p: tf.reduce_mean((p[0] - y[0]) ** 2, -1))}, bl.gates.Fixed([1.0])
    )
    if not isinstance(weights, list):
        assert float(several(structure(y), structure(p), weights)) == 0.5


def test_weights_by_loss_of_a_network_with_a_list_of_one_output():
    blend = bl.Blend({"a": "mse", "b": "mae"}, bl.gates.Fixed([1.0, 1.0]))
    assert float(blend([[0.0]], [tf.constant([[2.0]])], {"a": [0.5]})) == 0.5 * 4 + 2


def test_sample_weights_of_an_unknown_nested_output_raise():
    model = blended(NESTED, {"loss": OutputLoss("a/b", "mse")})
    with pytest.raises(ValueError, match="must have keys of outputs"):
        model.blend({"a": {"b": Y}}, model(X), {"a": {"x": W}})


ONE = {"dict": {"out": "dense"}, "list": ["dense"]}


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        pytest.param("dict", Y, id="dict-array"),
        pytest.param("dict", {"out": Y}, id="dict-dict"),
        pytest.param("list", Y, id="list-array"),
        pytest.param("list", [Y], id="list-list"),
    ],
)
@pytest.mark.parametrize("by_output", [False, True], ids=["plain-loss", "output-loss"])
def test_a_dict_or_list_of_one_output(kind, targets, by_output):
    loss = OutputLoss("out" if kind == "dict" else 0, "mse") if by_output else "mse"
    model = blended(ONE[kind], {"loss": loss}, metrics=["mae"])
    assert_same_training(model, plain(ONE[kind], "mse", metrics=["mae"]), targets, sample_weight=W)


# Attributes


@pytest.mark.parametrize("structure", [LIST, NESTED, "dense"], ids=["list", "nested", "one"])
def test_attributes_are_the_networks(structure):
    model = blended(structure, {"loss": "mse"})
    for name in ("inputs", "outputs", "input", "output", "input_shape", "output_shape", "output_names"):
        assert str(getattr(model, name)) == str(getattr(model.network, name)), name
    assert model.count_params() == model.network.count_params() + 2  # the counters of the model itself


def test_an_unbuilt_network_gives_no_attributes():
    model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(1)]), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))
    assert not any(hasattr(model, name) for name in ("inputs", "outputs", "input", "output_names", "input_shape"))


# Converters


def sub():
    class Sub(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    made = Sub()
    made(X)
    return made


def of_dict():
    inputs = {"x": keras.Input([3], name="x")}
    return keras.Model(inputs, keras.layers.Dense(1)(inputs["x"]))


NETWORKS = {
    "sequential": lambda: keras.Sequential([keras.Input([3]), keras.layers.Dense(1)]),
    "functional": lambda: outputs("dense"),
    "list": lambda: outputs(LIST),
    "dict-of-inputs": of_dict,
    "subclass": sub,
}


@pytest.mark.filterwarnings("ignore")  # TensorFlow's own, about its interpreter
@pytest.mark.parametrize("network", NETWORKS)
def test_converts_to_tflite(network):
    model = bl.BlendedModel(NETWORKS[network](), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))
    converted = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = tf.lite.Interpreter(model_content=converted)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, [6, 3])
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, X)
    interpreter.invoke()
    found = sorted(interpreter.get_tensor(output["index"]).sum() for output in interpreter.get_output_details())
    expected = sorted(
        part.numpy().sum() for part in tf.nest.flatten(model({"x": X} if network == "dict-of-inputs" else X))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# Targets


@pytest.mark.parametrize("metrics", [None, ["mae"]])
def test_data_without_targets_raises(metrics):
    with pytest.raises(ValueError, match="`y` must be given"):
        blended("dense", {"loss": "mse"}, metrics=metrics).fit(X, verbose=0)


def test_a_residual_needs_no_targets():
    model = blended({"pde": "dense"}, {"physics": OutputLoss("pde", "mse", target=0.0)})
    expected = float(tf.reduce_mean(model(X)["pde"] ** 2))
    np.testing.assert_allclose(model.fit(X, verbose=0).history["loss"], expected, rtol=1e-6)


def test_ragged_targets_raise():
    ragged = tf.ragged.constant([[1.0], [2.0, 3.0], [1.0], [2.0], [3.0], [1.0]])
    with pytest.raises(TypeError, match=r"`y` must be dense.*to_tensor"):
        blended("dense", {"loss": "mse"}).fit(X, ragged, verbose=0)
