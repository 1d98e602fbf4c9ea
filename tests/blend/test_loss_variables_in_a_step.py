"""What a step does with the variables of a loss: gradients, state, losses that are off or traced, threads, replicas."""

import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.blend.loss_variables import Laplace, LaplaceLayer
from tests.executions import EXECUTIONS


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(lambda loss: (loss, lambda y, p: (y, p)), id="alone"),
        pytest.param(lambda loss: (bl.losses.OutputLoss("a", loss), lambda y, p: ({"a": y}, {"a": p})), id="output"),
        pytest.param(lambda loss: (bl.losses.Columns(loss, 0), lambda y, p: (y, p)), id="columns"),
    ],
)
@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
def test_gradient_in_the_variable(place, way):
    loss = Laplace()
    placed, given = place(loss)
    blend = bl.Blend({"laplace": placed}, bl.gates.Fixed([2.0]))
    y, p = tf.constant([[1.0], [2.0]]), tf.constant([[4.0], [1.0]])

    def gradient():
        with tf.GradientTape() as tape:
            value = blend(*given(y, p), step=0)
        return tape.gradient(value, blend.trainable_variables[0].value)

    np.testing.assert_allclose(EXECUTIONS[way](gradient)(), 2 * (1 - 2.0), rtol=1e-6)  # 2 (1 - mean |r|)


@keras.saving.register_keras_serializable("tests.loss_variables")
class Counting(Laplace):
    """Counts its calls, and draws numbers from a generator of its own."""

    def __init__(self, **named):
        super().__init__(**named)
        self.calls = keras.Variable(0.0, trainable=False)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, y_true, y_pred):
        self.calls.assign_add(1.0)
        return super().call(y_true, y_pred) + 0 * keras.random.uniform([], seed=self.seeds)


class AddingLayer(LaplaceLayer):
    def call(self, y_true, y_pred):
        self.add_loss(tf.constant(7.0))
        return super().call(y_true, y_pred)


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
def test_a_loss_updates_its_own_state(way):
    loss = Counting()
    blend = bl.Blend({"a": loss, "mse": "mse"}, bl.gates.Fixed([1.0, 1.0]))
    seed = loss.seeds.state.numpy()
    run = EXECUTIONS[way](lambda: blend([[1.0]], [[2.0]], step=0))
    for _ in range(3):
        run()
    assert float(loss.calls) == 3
    assert (loss.seeds.state.numpy() != seed).any()
    assert len([variable for variable in blend.variables if variable is loss.seeds.state]) == 1


def test_losses_added_inside_a_loss_are_kept():
    blend = bl.Blend({"a": AddingLayer(), "mse": "mse"}, bl.gates.Fixed([1.0, 1.0]))
    blend([[1.0]], [[2.0]], step=0)
    assert float(sum(blend.losses)) == 7.0


class Infinite(keras.losses.Loss):
    """Infinite, with a derivative in its variable that is not finite."""

    def __init__(self, kind):
        super().__init__()
        self.theta = kind(2.0)

    def call(self, y_true, y_pred):
        return self.theta * tf.reduce_mean(tf.abs(y_pred - y_true), -1) * np.float32(np.inf)


def infinite_function(kind):
    theta = kind(2.0)
    return lambda y_true, y_pred: theta * tf.reduce_mean(tf.abs(y_pred - y_true), -1) * np.float32(np.inf), theta


def infinite_object(kind):
    loss = Infinite(kind)
    return loss, loss.theta


def scheduled():
    return bl.gates.Scheduled(bl.schedules.constant([1.0, 0.0]))


def fixed():
    return bl.gates.Fixed([1.0, 0.0])


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
@pytest.mark.parametrize("gate", [fixed, scheduled])
@pytest.mark.parametrize("kind", [keras.Variable, tf.Variable], ids=["keras", "plain"])
@pytest.mark.parametrize("make", [infinite_function, infinite_object])
def test_a_loss_that_is_off_leaves_its_variable_alone(make, kind, gate, way):
    loss, theta = make(kind)
    blend = bl.Blend({"mse": "mse", "infinite": loss}, gate())
    prediction = tf.Variable([[2.0], [3.0]])

    def gradients():
        with tf.GradientTape() as tape:
            value = blend([[0.0], [0.0]], prediction, step=0)
        return value, tape.gradient(value, [prediction, theta if kind is tf.Variable else theta.value])

    value, (of_prediction, of_theta) = EXECUTIONS[way](gradients)()
    assert float(value) == 6.5
    np.testing.assert_allclose(of_prediction, [[2.0], [3.0]], rtol=1e-6)
    assert float(of_theta) == 0.0


def mean_error(factor, y_true, y_pred):
    return factor * tf.reduce_mean(tf.abs(y_pred - y_true), -1)


class TracedLayer(keras.Layer):
    """A loss whose call is a `tf.function`, with a factor that trains and noise."""

    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer="ones")
        self.seeds = keras.random.SeedGenerator(0)

    @tf.function
    def call(self, y_true, y_pred):
        return mean_error(self.factor, y_true, y_pred) + 0 * keras.random.uniform((), seed=self.seeds)


def traced_layer(kind):
    layer = TracedLayer()
    return layer, layer.factor


def traced_function(kind):
    factor = kind(1.0)
    return tf.function(lambda y_true, y_pred: mean_error(factor, y_true, y_pred)), factor


TRACED = [(traced_layer, keras.Variable), (traced_function, keras.Variable), (traced_function, tf.Variable)]


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
@pytest.mark.parametrize(("make", "kind"), TRACED, ids=["layer", "keras", "plain"])
def test_a_loss_that_is_traced_once_reads_its_variable_each_time(make, kind, way):
    loss, factor = make(kind)
    blend = bl.Blend({"loss": loss, "mse": "mse"}, bl.gates.Fixed([1.0, 0.0]))

    def gradients():
        with tf.GradientTape() as tape:
            value = blend([[0.0]], [[2.0]], step=0)
        return value, tape.gradient(value, factor if kind is tf.Variable else factor.value)

    run = EXECUTIONS[way](gradients)
    for value in (1.0, 5.0):
        factor.assign(value)
        found, slope = run()
        assert (float(found), float(slope)) == (2 * value, 2.0)


def test_threads_read_their_own_values():
    loss, theta = infinite_function(tf.Variable)
    blend = bl.Blend({"mse": "mse", "infinite": loss}, bl.gates.Fixed([1.0, 0.0]))

    def slope(_):
        with tf.GradientTape() as tape:
            value = blend([[0.0]], [[2.0]], step=0)
        return float(tape.gradient(value, theta))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(slope, range(64))) == [0.0] * 64
    assert float(theta) == 2.0


def test_replicas_leave_a_plain_variable_alone(replicas):
    with replicas.scope():
        loss, theta = infinite_function(tf.Variable)
        blend = bl.Blend({"mse": "mse", "infinite": loss}, bl.gates.Fixed([1.0, 0.0]))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = blend([[0.0]], [[2.0]], step=0)
        return tape.gradient(value, theta)

    slopes = replicas.experimental_local_results(replicas.run(step))
    assert [float(slope) for slope in slopes] == [0.0, 0.0]
