"""A model trained by gates that look at the gradient of each loss, and at progress: what one step does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from blendloss.gates import GradientGate
from blendloss.losses import OutputLoss
from tests.keras.gradient_models import (
    LOSSES,
    RNG,
    Inverse,
    X,
    Y,
    assert_close,
    blend_of,
    fit,
    gradients_by_hand,
    model_of,
    network,
)
from tests.seeding import seed

# What one step does


def test_a_step_equals_the_step_by_hand():
    model = model_of("inverse")
    losses, gradients = gradients_by_hand(model)
    trunk = [[np.float64(g).ravel() for g in row[:4]] for row in gradients]
    weights = [1 / (1 + np.linalg.norm(np.concatenate(row))) for row in trunk]
    before = [variable.numpy() for variable in model.network.trainable_variables]
    logs = model.train_on_batch(X, Y, return_dict=True)
    for name, weight, loss in zip(LOSSES, weights, losses, strict=True):
        np.testing.assert_allclose(logs[f"gate/{name}"], weight, rtol=1e-6)
        np.testing.assert_allclose(logs[f"loss/{name}"], loss, rtol=1e-6)
    np.testing.assert_allclose(logs["loss"], np.dot(weights, losses), rtol=1e-6)
    for i, (variable, start) in enumerate(zip(model.network.trainable_variables, before, strict=True)):
        pairs = zip(weights, [row[i] for row in gradients], strict=True)
        step = sum((w if i < 4 else 1.0) * g.numpy() for w, g in pairs if g is not None)
        np.testing.assert_allclose(variable, start - 0.05 * step, rtol=1e-6, atol=1e-7)


class Counting(keras.layers.Layer):
    """The identity; counts its forward passes in training."""

    def build(self, shape):
        self.passes = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False)

    def call(self, inputs, training=None):
        if training:
            self.passes.assign_add(1)
        return inputs


def test_a_step_is_one_forward_pass():
    counting = Counting()

    def net():
        inputs = keras.Input([4])
        hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(counting(inputs)))
        shared = keras.layers.Dense(6, name="shared")(hidden)
        outputs = {name: keras.layers.Dense(size)(shared) for name, size in (("depth", 1), ("normal", 3))}
        return keras.Model(inputs, {**outputs, "label": keras.layers.Dense(5, "softmax")(shared)})

    model = model_of("inverse", net)
    before = int(counting.passes)
    fit(model, epochs=1)
    assert int(counting.passes) - before == 4


def products(graph):
    """The float32 matrix products that a graph needs for what it returns and does; branches included."""
    seen, found = set(), 0
    stack = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    while stack:
        op = stack.pop()
        if op in seen:
            continue
        seen.add(op)
        stack += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        found += op.type == "MatMul" and op.inputs[0].dtype == tf.float32
        if op.type in ("If", "StatelessIf"):
            branches = [op.get_attr(name).name for name in ("then_branch", "else_branch")]
            found += sum(products(graph._get_function(name).graph) for name in branches)
    return found


# Forward 5. Backward, a loss: kernels of head, shared and trunk, inputs of head and shared.
FORWARD, BACKWARD = 5, 5
# All three at once: shared's and trunk's parts are of the sum.
AT_ONCE = 3 + 3 * 2
# What is measured alone is without the kernels of the heads.
MEASURED = BACKWARD - 1


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("inverse", FORWARD + 3 * BACKWARD),
        ("inverse-last", FORWARD + 3 * BACKWARD),
        ("balanced", FORWARD + 3 * BACKWARD),
        ("inverse-weighted-every-3", FORWARD + AT_ONCE + 3 * MEASURED),  # the last, in a branch of every third step
        ("inverse-own-every-2", FORWARD + AT_ONCE + 3 * MEASURED),
        ("progress", FORWARD + AT_ONCE + FORWARD),
    ],
)
@pytest.mark.parametrize("regularizer", [None, "l2"])
def test_a_step_costs_a_forward_pass_and_a_backward_pass_for_each_loss(gate, expected, regularizer):
    model = model_of(gate, lambda: network(regularizer))
    model.run_eagerly = True
    model.train_on_batch(X[:4], {name: y[:4] for name, y in Y.items()})  # creates all variables, without a trace
    step = tf.function(model.train_step).get_concrete_function((tf.constant(X), tf.nest.map_structure(tf.constant, Y)))
    assert products(step.graph) == expected


# What the optimizer does


@pytest.mark.parametrize("named", [{"clipnorm": 0.1}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1}], ids=str)
def test_gradient_clipping(named):
    """A gate of weights 1 is the plain sum: clipping sees the same gradients."""

    class Ones(GradientGate):
        def weigh(self, gradients, context):
            return tf.ones([len(gradients)])

    seed()
    blends = [
        bl.Blend({n: OutputLoss(n, loss) for n, loss in LOSSES.items()}, g) for g in (Ones(), bl.gates.Fixed([1, 1, 1]))
    ]
    models = []
    for blend in blends:
        seed()
        model = bl.BlendedModel(network("l2"), blend)
        model.compile(keras.optimizers.SGD(0.5, **named))
        fit(model)
        models.append(model)
    assert_close(models[0].network, models[1].network)


def test_gradients_accumulate():
    model = model_of("inverse", optimizer=keras.optimizers.SGD(0.05, gradient_accumulation_steps=4))
    fit(model)
    assert int(model.step) == 2
    assert np.isfinite(model.evaluate(X, Y, verbose=0)).all()


def test_every_counts_updates_of_the_optimizer():
    """Where gradients accumulate the step stays for some batches: weights of step 0 are of each of its batches."""
    model = model_of("inverse-weighted-every-3", optimizer=keras.optimizers.SGD(0.05, gradient_accumulation_steps=4))
    fit(model, epochs=1)
    kept = np.array(model.blend.gate.last)
    fit(model, epochs=1)
    np.testing.assert_array_equal(model.blend.gate.last, kept)


@pytest.mark.parametrize("activity", [None, "l2"])
def test_regularization_is_added(activity):
    plain, regularized = model_of("inverse"), model_of("inverse", lambda: network("l2", activity))
    kernel = plain.network.trainable_variables[0].numpy().astype("float64")
    logs = [model.train_on_batch(X, Y, return_dict=True) for model in (plain, regularized)]
    with tf.GradientTape() as tape:
        trunk = tf.Variable(kernel)
        # Keras divides an activity's penalty by the batch.
        hidden = tf.tanh(tf.cast(X, tf.float64) @ trunk)
        penalty = 0.01 * tf.reduce_sum(trunk**2)
        if activity:
            penalty += 0.01 * tf.reduce_sum(hidden**2) / 64
    np.testing.assert_allclose(logs[1]["loss"] - logs[0]["loss"], penalty, rtol=1e-5)
    moved = plain.network.trainable_variables[0].numpy() - regularized.network.trainable_variables[0].numpy()
    np.testing.assert_allclose(moved, 0.05 * tape.gradient(penalty, trunk), rtol=0, atol=4 * 2.0**-23)
    for name in LOSSES:
        assert logs[0][f"gate/{name}"] == logs[1][f"gate/{name}"]  # regularization is no loss that is weighed


def test_what_trains_in_a_gate_has_its_own_optimizer():
    model = model_of("balanced", gate_optimizer=keras.optimizers.SGD(1e-3))
    _, gradients = gradients_by_hand(model)
    norms = [np.linalg.norm(np.concatenate([np.ravel(g) for g in row[:4]])) for row in gradients]
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(model.blend.gate.v, 1 - 1e-3 * np.array(norms), rtol=1e-6)
    fit(model)
    assert int(model.gate_optimizer.iterations) == 9


def test_frozen_gate():
    model = model_of("balanced")
    model.blend.gate.trainable = False
    model.compile("sgd")
    fit(model)
    np.testing.assert_array_equal(model.blend.gate.v, [1, 1, 1])


def test_what_trains_in_a_loss_is_trained():
    models = []
    for gate in (Inverse(task_specific="unweighted"), bl.gates.Fixed([1.0, 1.0, 1.0])):
        seed()
        loss = bl.losses.AdaptiveBarron()
        losses = {name: OutputLoss(name, loss if name == "depth" else given) for name, given in LOSSES.items()}
        model = bl.BlendedModel(network(), bl.Blend(losses, gate))
        model.compile(keras.optimizers.SGD(0.05))
        model.train_on_batch(X, Y)
        models.append(loss)
    # One loss alone acts on its shape and scale: it follows that loss, unweighted.
    np.testing.assert_allclose(models[0].alpha_and_scale(), models[1].alpha_and_scale(), rtol=1e-6)
    assert float(models[0].alpha_and_scale()[1]) != 1.0


def test_embeddings():
    def net():
        inputs = keras.Input([4], dtype="int32")
        shared = keras.layers.Flatten()(keras.layers.Embedding(10, 3, name="table", activity_regularizer="l2")(inputs))
        return keras.Model(
            inputs,
            {
                "depth": keras.layers.Dense(1)(shared),
                "normal": keras.layers.Dense(3)(shared),
                "label": keras.layers.Dense(5, "softmax")(shared),
            },
        )

    tokens = RNG.integers(0, 10, size=(64, 4))
    weights = []
    for eagerly in (True, False):
        model = model_of("inverse", net, run_eagerly=eagerly)
        model.fit(tokens, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        weights.append(model)
    assert_close(*weights)


# Progress


def test_progress_is_observed_after_the_update():
    model = model_of("progress")
    for step in range(3):
        model.train_on_batch(X, Y)
        after, _ = gradients_by_hand(model)
        np.testing.assert_allclose(model.blend.gate.seen, after, rtol=1e-6)
        assert int(model.blend.gate.told) == step + 1


def test_progress_counts_sample_weights():
    model = model_of("progress")
    weights = {"depth": np.linspace(0, 2, 64), "normal": np.zeros(64), "label": np.ones(64)}
    model.train_on_batch(X, Y, sample_weight=weights)
    assert float(model.blend.gate.seen[1]) == 0.0


def test_gates_without_progress_refuse_an_observation():
    with pytest.raises(TypeError, match="does not watch the losses after an update"):
        blend_of("inverse").gate.observe_progress({})


# Mistakes


def test_compute_loss_of_ones_own_is_refused():
    class Own(bl.BlendedModel):
        def compute_loss(self, *arguments, **named):
            return super().compute_loss(*arguments, **named)

    with pytest.raises(TypeError, match="`compute_loss` is not used"):
        Own(network(), blend_of("inverse"))


@pytest.mark.parametrize("gate", ["balanced", "progress"])
def test_held_out_is_refused(gate):
    with pytest.raises(ValueError, match="has a rule of its own"):
        bl.BlendedModel(network(), blend_of(gate), held_out=bl.keras.HeldOut("mae"))


def test_a_network_that_does_not_train():
    model = model_of("inverse")
    model.network.trainable = False
    model.compile("sgd")
    with pytest.raises(ValueError, match="must act on at least one of the variables"):
        fit(model)


def test_a_pattern_that_fits_no_variable_raises():
    seed()
    model = bl.BlendedModel(
        network(), bl.Blend({n: OutputLoss(n, loss) for n, loss in LOSSES.items()}, Inverse(variables=["x/*"]))
    )
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`variables` must match some of \['trunk/kernel', 'trunk/bias'"):
        fit(model)
