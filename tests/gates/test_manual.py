"""Weights that a callback or a loop sets."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss import gates

NAMES = ("mse", "mae", "kl")


def blend_of(initial=None, mode=None, **named):
    return bl.Blend(dict.fromkeys(NAMES, "mse"), gates.Manual(initial, **named), mode)


def weights_of(blend):
    return blend.compute([[0.0]], [[2.0]]).weights.numpy()


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param([0.25, 0, 4], [0.25, 0, 4], id="list"),
        pytest.param(np.array([0.25, 0, 4]), [0.25, 0, 4], id="array"),
        pytest.param(tf.constant([0.25, 0, 4], tf.float64), [0.25, 0, 4], id="tensor"),
        pytest.param(tf.Variable([0.25, 0, 4]), [0.25, 0, 4], id="variable"),
        pytest.param(keras.Variable([1, 0, 2], dtype="int32"), [1, 0, 2], id="keras-variable"),
        pytest.param([tf.constant(0.25), 0, np.float32(4)], [0.25, 0, 4], id="mixed"),
        pytest.param({"kl": 4, "mse": 0.25, "mae": 0.0}, [0.25, 0, 4], id="all-by-name"),
        pytest.param({"kl": 0.125}, [1, 2, 0.125], id="one-by-name"),
        pytest.param({"mae": tf.constant(0), "mse": np.array(8.0)}, [8, 0, 3], id="tensors-by-name"),
    ],
)
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
def test_weights_are_what_was_assigned(weights, expected, graph):
    blend = blend_of([1, 2, 3])
    assign = blend.gate.assign
    (tf.function(lambda: assign(weights)) if graph else lambda: assign(weights))()
    np.testing.assert_array_equal(blend.gate.assigned, expected)
    np.testing.assert_allclose(weights_of(blend), expected, rtol=6 * 2.0**-23)
    hard = bl.Blend(dict.fromkeys(NAMES, "mse"), blend.gate, bl.modes.Hard())
    np.testing.assert_allclose(weights_of(hard), np.sum(expected) * np.eye(3)[np.argmax(expected)], rtol=6 * 2.0**-23)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        pytest.param([1.0, -1.0, 0.0], ValueError, r"`weights\[1\]` must not be negative.*-1", id="negative"),
        pytest.param({"mae": -1.0}, ValueError, r"`weights\['mae'\]` must not be negative.*-1", id="negative-by-name"),
        pytest.param([1.0, np.nan, 0.0], ValueError, "must not be NaN", id="nan"),
        pytest.param([1.0, np.inf, 0.0], ValueError, "must be finite", id="inf"),
        pytest.param(tf.constant([1.0, np.nan, 0.0]), ValueError, "must not be NaN", id="nan-in-a-tensor"),
        pytest.param(np.array([1.0, -2.0, 0.0]), ValueError, "must not be negative", id="negative-in-an-array"),
        pytest.param([0, 0, 0], ValueError, "must not all be 0", id="zeros"),
        pytest.param({"mse": 0, "mae": 0, "kl": 0}, ValueError, "must not all be 0", id="zeros-by-name"),
        pytest.param([1e39, 1, 1], ValueError, "range", id="too-large"),
        pytest.param([1e-60, 1, 1], ValueError, "range", id="too-small"),
        pytest.param([1.0], ValueError, r"one for each of the losses.*Received: \[1.0\]", id="too-few"),
        pytest.param(tf.ones([2]), ValueError, r"shape \[3\].*Received: shape \(2,\)", id="tensor-too-short"),
        pytest.param(tf.ones([3, 1]), ValueError, r"shape \[3\].*Received: shape \(3, 1\)", id="matrix"),
        pytest.param([tf.ones([2]), 1, 1], ValueError, "real scalar", id="no-scalar"),
        pytest.param({"mae": tf.constant(1j)}, ValueError, "real scalar", id="complex"),
        pytest.param({"kll": 1.0}, ValueError, r"names of losses.*'kl'\].*Received: \['kll'\]", id="unknown-name"),
        pytest.param({}, ValueError, r"names of losses.*Received: \[\]", id="no-name"),
        pytest.param("abc", TypeError, "a dict or a list", id="string"),
        pytest.param(1.0, TypeError, "a dict or a list", id="number"),
        pytest.param(["1", 1, 1], TypeError, "must be a real number", id="string-among-numbers"),
        pytest.param([True, 1, 1], TypeError, "must be a real number", id="bool-among-numbers"),
    ],
)
def test_wrong_weights_are_refused_and_change_nothing(weights, error, message):
    blend = blend_of([1, 2, 3])
    with pytest.raises(error, match=message):
        blend.gate.assign(weights)
    np.testing.assert_array_equal(blend.gate.assigned, [1, 2, 3])


def test_before_a_blend_there_is_nothing_to_assign():
    with pytest.raises(ValueError, match="belongs to no blend yet"):
        gates.Manual().assign([1.0])


def test_a_zero_is_refused_where_the_others_are_zero_already():
    blend = blend_of([0, 0, 3])
    with pytest.raises(ValueError, match="must not all be 0"):
        blend.gate.assign({"kl": 0.0})


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_running_graph_assigns_and_checks(jit_compile):
    blend = blend_of([1, 2, 3])

    @tf.function(jit_compile=jit_compile)
    def step(kl):
        blend.gate.assign({"kl": kl, "mse": 0.5})
        return blend([[0.0]], [[2.0]])

    for kl in (0.25, 0.0, 7.0):
        np.testing.assert_allclose(step(tf.constant(kl)), 4 * (0.5 + 2 + kl), rtol=8 * 2.0**-23)
        np.testing.assert_array_equal(blend.gate.assigned, [0.5, 2, kl])
    assert step.experimental_get_tracing_count() == 1
    for bad in (-1.0, np.nan, np.inf):
        if jit_compile:  # which cannot raise
            assert np.isnan(step(tf.constant(bad)))
            blend.gate.assign([1, 2, 3])
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match="not negative and not all 0"):
                step(tf.constant(bad))


def test_a_length_known_only_at_run_time_is_checked():
    blend = blend_of()
    assign = tf.function(blend.gate.assign, input_signature=[tf.TensorSpec([None])])
    assign(tf.constant([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(blend.gate.assigned, [1, 2, 3])
    with pytest.raises(tf.errors.InvalidArgumentError):
        assign(tf.constant([1.0, 2.0]))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_weights_have_the_gates_dtype(dtype):
    blend = blend_of([0.1, 1, 1], dtype=dtype)
    assert blend.gate.assigned.dtype == dtype
    blend.gate.assign({"mse": 0.3})
    np.testing.assert_array_equal(blend.gate.assigned, np.array([0.3, 1, 1], dtype))


X = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
Y = X @ [[1.0], [-2.0]] + 0.5
PLAN = [{"mae": 0.0}, {"mae": 2.0}, [0.25, 1.0]]


@keras.saving.register_keras_serializable(package="tests")
class Traced(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def weights_at(epoch, gate):
    gate.assign(PLAN[epoch])


def fitted(jit_compile=False):
    network = keras.Sequential([keras.Input([2]), keras.layers.Dense(1, kernel_initializer="zeros")])
    model = Traced(network, bl.Blend({"mse": "mse", "mae": "mae"}, gates.Manual()))
    model.compile(keras.optimizers.SGD(0.05), jit_compile=jit_compile)
    callback = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: weights_at(epoch, model.blend.gate))
    history = model.fit(X, Y, batch_size=16, shuffle=False, epochs=3, verbose=0, callbacks=[callback]).history
    return model, history


def by_numpy():
    """The same three epochs of gradient descent, in float64."""
    weights, bias = np.zeros(2), 0.0
    for mse, mae in ([1, 0], [1, 2], [0.25, 1]):
        for rows in (slice(16), slice(16, 32)):
            x, residual = X[rows].astype("float64"), X[rows] @ weights + bias - Y[rows, 0]
            slope = (mse * 2 * residual + mae * np.sign(residual)) / 16
            weights, bias = weights - 0.05 * x.T @ slope, bias - 0.05 * slope.sum()
    return [*weights, bias]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_callback_changes_the_weights_without_a_new_trace(jit_compile):
    model, history = fitted(jit_compile)
    assert history["gate/mse"] == [1, 1, 0.25]
    np.testing.assert_allclose(history["gate/mae"], [0, 2, 1], rtol=6 * 2.0**-23)
    assert model.traces == 1
    np.testing.assert_allclose(np.concatenate([*map(np.ravel, model.network.get_weights())]), by_numpy(), rtol=1e-5)


def test_replicas_see_what_a_callback_assigned(replicas):
    with replicas.scope():
        model, history = fitted()
    assert history["gate/mse"] == [1, 1, 0.25]
    np.testing.assert_allclose(np.concatenate([*map(np.ravel, model.network.get_weights())]), by_numpy(), rtol=1e-5)


def test_a_saved_model_has_the_weights_that_were_assigned(tmp_path):
    model, _ = fitted()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras").blend.gate.assigned, [0.25, 1])
    np.testing.assert_array_equal(model.blend.fresh().gate.assigned, [1, 1])
