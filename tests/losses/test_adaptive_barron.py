"""The adaptive loss: values, gradients, and what trains it in a blend."""

from __future__ import annotations

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.losses import AdaptiveBarron
from tests.losses import golden

RNG = np.random.default_rng(0)
Y_TRUE, Y_PRED = RNG.normal(size=(2, 6, 3)).astype("float32")


def loss_at(alpha, scale=1.0, **named):
    return AdaptiveBarron(low=0.0, high=2.0, initial_alpha=alpha, initial_scale=scale, **named)


# The loss


@pytest.mark.parametrize("row", golden.TRAINED, ids=lambda row: row[0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_values(row, dtype):
    _, make, residuals, values = row
    found = make()(tf.zeros([len(residuals)], dtype), tf.constant(residuals, dtype))
    # alpha is known to float32, of which rho and log Z are as smooth functions as they are of r.
    np.testing.assert_allclose(found, values, rtol=12 * 2.0**-23)


@pytest.mark.parametrize("channels", [None, 3])
def test_gradients_in_predictions_shape_and_scale(channels):
    """Against central differences in float64: eps L / h + h^2 L''' is about 1e-9."""
    loss = loss_at(0.8, 0.6, channels=channels, dtype="float64")
    prediction = tf.Variable(Y_PRED.astype("float64"))
    variables = [prediction, *(variable.value for variable in loss.trainable_variables)]
    if channels:
        variables[1].assign([-1.0, 0.3, 2.0])
        variables[2].assign([-0.5, 0.0, 1.0])
    truth = tf.constant(Y_TRUE, tf.float64)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(loss(truth, prediction))
    h = 1e-6
    for variable, found in zip(variables, tape.gradient(value, variables), strict=True):
        at, expected = variable.numpy(), np.zeros(variable.shape)
        for place in np.ndindex(*variable.shape):
            ends = []
            for sign in (1, -1):
                moved = np.array(at)
                moved[place] += sign * h
                variable.assign(moved)
                ends.append(float(tf.reduce_sum(loss(truth, prediction))))
            expected[place] = (ends[0] - ends[1]) / (2 * h)
        variable.assign(at)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3), (0, 3), (4, 1)], ids=str)
def test_per_example_shape(shape):
    values = AdaptiveBarron()(np.zeros(shape, np.float32), np.ones(shape, np.float32))
    assert values.shape == (shape if len(shape) == 1 else shape[:-1])


def test_channels_have_their_own():
    loss = loss_at(1.0, channels=3)
    loss.trainable_variables[0].assign([-3.0, 0.0, 3.0])
    alphas, scales = loss.alpha_and_scale()
    np.testing.assert_allclose(alphas, 2 / (1 + np.exp([3.0, 0.0, -3.0])), rtol=1e-6)
    one_by_one = [
        loss_at(float(alpha), float(scale))(Y_TRUE[:, k], Y_PRED[:, k])
        for k, (alpha, scale) in enumerate(zip(alphas, scales, strict=True))
    ]
    np.testing.assert_allclose(loss(Y_TRUE, Y_PRED), np.mean(one_by_one, axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match="`y_pred` must have 3 channels in its last axis"):
        loss(Y_TRUE[:, :2], Y_PRED[:, :2])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    loss = AdaptiveBarron()
    y_true, y_pred = tf.zeros([2, 1], dtype), tf.constant([[1.0], [300.0]], dtype)
    exact = loss(tf.zeros([2, 1]), tf.constant([[1.0], [300.0]]))
    found = loss(y_true, y_pred)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, tf.cast(exact, dtype))  # rounded once
    assert loss(y_true, tf.cast(y_pred, "float64")).dtype == tf.float64


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match="`y_true` and `y_pred` must have the same shape"):
        AdaptiveBarron()(Y_TRUE[:, :1], Y_PRED)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"channels": 0}, ValueError, "`channels` must be at least 1"),
        ({"channels": 1.5}, TypeError, "`channels` must be an integer"),
        ({"low": -0.1}, ValueError, "`low` must not be negative"),
        ({"high": 2.5}, ValueError, "`high` must be above `low` and at most 2. Received: high=2.5"),
        ({"low": 1.0, "high": 1.0}, ValueError, "`high` must be above `low`"),
        ({"initial_alpha": 1.999}, ValueError, "`initial_alpha` must lie strictly between 0.001 and 1.999"),
        ({"initial_alpha": "1"}, TypeError, "`initial_alpha` must be a real number"),
        ({"initial_scale": 0.0}, ValueError, "`initial_scale` must be positive"),
        ({"floor": 0.0}, ValueError, "`floor` must be positive"),
        ({"floor": 2.0}, ValueError, "`floor` must be below `initial_scale`"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        AdaptiveBarron(**arguments)


# In a blend


def blend_of(gate=None, mode=None, **named):
    losses = {"adaptive": AdaptiveBarron(**named), "huber": bl.losses.Huber()}
    return bl.Blend(losses, bl.gates.Fixed([0.25, 0.75]) if gate is None else gate, mode)


def test_the_blend_tracks_the_variables_of_the_loss():
    blend = blend_of()
    assert [variable.name for variable in blend.trainable_variables] == ["latent_alpha", "latent_scale"]
    expected = 0.25 * AdaptiveBarron()(Y_TRUE, Y_PRED) + 0.75 * bl.losses.Huber()(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(blend(Y_TRUE, Y_PRED, step=0), np.mean(expected), rtol=1e-6)


def test_eager_graph_xla_and_unknown_batch_agree():
    blend = blend_of(channels=3)

    def step_of(y_true, y_pred):
        with tf.GradientTape() as tape:
            value = blend(y_true, y_pred, step=0)
        return [value, *tape.gradient(value, blend.trainable_variables)]

    unknown = [tf.TensorSpec([None, 3]), tf.TensorSpec([None, 3])]
    functions = [tf.function(step_of), tf.function(step_of, jit_compile=True), tf.function(step_of, unknown)]
    expected = step_of(tf.constant(Y_TRUE), tf.constant(Y_PRED))
    for function in functions:
        for ours, theirs in zip(function(tf.constant(Y_TRUE), tf.constant(Y_PRED)), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_gated_off_reaches_no_gradient(bad):
    blend = blend_of(bl.gates.Fixed([0.0, 1.0]))
    prediction = tf.Variable([[bad], [1.0]])
    with tf.GradientTape() as tape:
        value = blend.compute([[0.0], [0.0]], prediction, step=0).value
    for gradient in tape.gradient(value, blend.trainable_variables):
        assert float(gradient) == 0.0


@pytest.mark.parametrize("regime", ["eager", "graph", "xla"])
def test_a_hard_gate_that_chooses_another_loss_gives_it_gradients_of_0(regime):
    blend = blend_of(bl.gates.Scheduled(bl.schedules.switch_at(3)), bl.modes.Hard())

    def gradients_at(step):
        with tf.GradientTape() as tape:
            value = blend(Y_TRUE, Y_PRED, step=step)
        return tape.gradient(value, blend.trainable_variables)

    run = gradients_at if regime == "eager" else tf.function(gradients_at, jit_compile=regime == "xla")
    assert all(float(gradient) != 0.0 for gradient in run(tf.constant(2)))
    assert all(float(gradient) == 0.0 for gradient in run(tf.constant(3)))


@pytest.mark.parametrize("loss", [lambda: AdaptiveBarron(), blend_of], ids=["alone", "blend"])
def test_plain_compile_refuses_it(loss):
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=loss())
    with pytest.raises(ValueError, match="trains.*(?s:.)*BlendedModel"):
        model.fit(Y_TRUE, Y_PRED, verbose=0)


def test_as_keras_loss_refuses_a_loss_that_trains():
    with pytest.raises(ValueError, match="a loss trains.*no optimizer sees the blend"):
        blend_of().as_keras_loss(0)


def test_a_frozen_loss_works_in_plain_compile():
    blend = blend_of()
    blend.trainable = False
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=blend)
    assert np.isfinite(model.fit(Y_TRUE, Y_PRED, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("frozen", [False, True], ids=["trains", "frozen"])
def test_configuration_round_trip(frozen):
    loss = AdaptiveBarron(3, low=0.1, high=1.5, initial_alpha=0.3, initial_scale=2.0, floor=0.01)
    loss.trainable = not frozen
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(keras.saving.serialize_keras_object(loss))))
    assert again.get_config() == loss.get_config()
    assert len(again.trainable_variables) == (0 if frozen else 2)
    np.testing.assert_array_equal(again(Y_TRUE, Y_PRED), loss(Y_TRUE, Y_PRED))
    np.testing.assert_allclose(loss.alpha_and_scale(), [[0.3] * 3, [2.0] * 3], rtol=1e-6)


def test_a_model_trains_the_loss_and_resumes_bit_for_bit(tmp_path):
    x = RNG.normal(size=(64, 4)).astype("float32")
    y = (x @ RNG.normal(size=(4, 3)) + RNG.standard_t(2, size=(64, 3))).astype("float32")

    def model_of():
        keras.utils.set_random_seed(0)
        model = bl.BlendedModel(keras.Sequential([keras.layers.Dense(3)]), blend_of(bl.gates.Learned(), channels=3))
        model.compile(keras.optimizers.Adam(0.05))
        return model

    def fit(model, epochs, **named):
        model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named)
        return model

    straight, stopped = fit(model_of(), 4), fit(model_of(), 2)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        resumed.blend.functions["adaptive"].alpha_and_scale()[0],
        stopped.blend.functions["adaptive"].alpha_and_scale()[0],
    )
    fit(resumed, 4, initial_epoch=2)
    for ours, theirs in zip(resumed.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (np.abs(straight.blend.functions["adaptive"].alpha_and_scale()[0] - 1.0) > 1e-3).all()


def test_replicas_train_it_alike(replicas):
    def variables_after(strategy):
        with strategy.scope():
            blend = blend_of(channels=3)
            optimizer = keras.optimizers.SGD(0.1)
            optimizer.build(blend.trainable_variables)

        def step(y_true, y_pred):
            with tf.GradientTape() as tape:
                value = blend(y_true, y_pred, step=0)
            gradients = tape.gradient(value, blend.trainable_variables)
            optimizer.apply_gradients(zip(gradients, blend.trainable_variables, strict=True))

        number = strategy.num_replicas_in_sync
        half = len(Y_TRUE) // number
        parts = [
            strategy.experimental_distribute_values_from_function(
                lambda context, whole=whole: tf.constant(whole[context.replica_id_in_sync_group * half :][:half])
            )
            for whole in (Y_TRUE, Y_PRED)
        ]
        tf.function(lambda: strategy.run(step, parts))()
        return [variable.numpy() for variable in blend.trainable_variables]

    alone = variables_after(tf.distribute.get_strategy())
    for ours, theirs in zip(variables_after(replicas), alone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
