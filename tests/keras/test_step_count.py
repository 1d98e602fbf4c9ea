"""`model.step` counts the optimizer's updates, whoever applies them: in a `train_step` or a loop of the user's own."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.keras.models import X, Y, assert_same, assert_same_weights
from tests.seeding import seed


def network():
    return keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])


def scheduled():
    return bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Scheduled(bl.schedules.linear(0.0, 1.0, steps=16)))


def model_of(kind=bl.BlendedModel, blend=None, **named):
    seed()
    model = kind(network(), scheduled() if blend is None else blend)
    model.compile(**{"optimizer": keras.optimizers.SGD(0.01), "metrics": ["mae"], **named})
    return model


def fit(model, epochs=2, **named):
    return model.fit(X, Y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **named).history


class Guide(bl.BlendedModel):
    """A training step as Keras's guide writes it."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.update(gradients)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def update(self, gradients):
        self.optimizer.apply(gradients, self.trainable_variables)


class Pairs(Guide):
    def update(self, gradients):
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))


WAYS = {
    "graph": dict,
    "eager": lambda: {"run_eagerly": True},
    "xla": lambda: {"jit_compile": True},
    "several-steps": lambda: {"steps_per_execution": 2},
    "loss-scale": lambda: {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))},
    "accumulated": lambda: {"optimizer": keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)},
}


@pytest.fixture(scope="module")
def kerass_own():
    """A run in one of the ways by the step that is not overridden."""

    @functools.cache
    def run(way):
        model = model_of(**WAYS[way]())
        history = fit(model, validation_data=(X, Y))
        return types.SimpleNamespace(history=history, weights=model.get_weights(), step=int(model.step))

    return run


@pytest.mark.parametrize("kind", [Guide, Pairs])
@pytest.mark.parametrize("way", WAYS)
def test_a_step_as_in_the_guide_is_kerass_own(kind, way, kerass_own):
    own, guide = kerass_own(way), model_of(kind, **WAYS[way]())
    found = fit(guide, validation_data=(X, Y))
    assert int(guide.step) == own.step == (4 if way == "accumulated" else 8)
    assert set(found) == set(own.history)
    for name in own.history:
        np.testing.assert_allclose(found[name], own.history[name], rtol=1e-5, err_msg=name)
    assert_same(own.weights, guide.get_weights())


def test_a_loop_of_ones_own_is_counted():
    model, twin = model_of(), model_of()

    @tf.function
    def update(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    for _ in range(2):
        for start in range(0, 64, 16):
            update(tf.constant(X[start : start + 16]), tf.constant(Y[start : start + 16]))
    fit(twin)
    assert int(model.step) == 8
    assert_same_weights(model, twin)


def test_updates_that_are_skipped_or_repeated_are_counted_as_they_are():
    class Twice(bl.BlendedModel):
        def train_step(self, data):
            super().train_step(data)
            return super().train_step(data)

    class Skipping(Guide):
        def update(self, gradients):
            even = tf.convert_to_tensor(self.seen.assign_add(1)) % 2 == 0
            tf.cond(even, lambda: (self.optimizer.apply(gradients, self.trainable_variables), 0)[1], lambda: 0)

    twice, skipping = model_of(Twice), model_of(Skipping)
    skipping.seen = tf.Variable(0)
    fit(twice), fit(skipping)
    assert int(twice.step) == int(twice.optimizer.iterations) == 16
    assert int(skipping.step) == int(skipping.optimizer.iterations) == 4


@pytest.mark.parametrize("kind", [bl.BlendedModel, Guide])
def test_saved_compiled_again_and_resumed(kind, tmp_path):
    path = tmp_path / "model.keras"
    straight, model = model_of(kind), model_of(kind)
    fit(straight, 4)
    fit(model)
    model.compile(model.optimizer, metrics=["mae"])  # as it is, with the optimizer as it is
    model.save(path)
    resumed = keras.models.load_model(path, custom_objects={kind.__name__: kind})
    fit(resumed)
    assert int(resumed.step) == int(straight.step) == 16
    assert_same_weights(resumed, straight)
    before, model_step = model.optimizer, int(model.step)
    model.compile("sgd")
    before.apply([tf.zeros_like(v) for v in model.trainable_variables], model.trainable_variables)
    assert int(model.step) == model_step  # no longer this model's optimizer


def by_hand(counted):
    class ByHand(Guide):
        def update(self, gradients):
            for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
                variable.assign_sub(0.01 * gradient)
            if counted:
                self.advance()

    return ByHand


def test_updates_by_hand_are_counted_by_hand():
    model, twin = model_of(by_hand(counted=True)), model_of()
    fit(model), fit(twin)
    assert int(model.step) == 8
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_step_that_would_stand_still_raises(eagerly):
    with pytest.raises(ValueError, match=r"counts the updates of `model.optimizer`.*Received: ByHand"):
        fit(model_of(by_hand(counted=False), run_eagerly=eagerly))


def test_a_blend_that_follows_no_step_need_not_be_counted():
    uncounted, counted = (
        model_of(by_hand(counted=counted), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0]))) for counted in (False, True)
    )
    fit(uncounted), fit(counted)
    assert (int(uncounted.step), int(counted.step)) == (0, 8)
    assert_same(uncounted.network.get_weights(), counted.network.get_weights())


def test_a_model_that_is_not_compiled_raises():
    model = bl.BlendedModel(network(), scheduled())
    with pytest.raises(ValueError, match="compile the model with the optimizer that trains it"):
        model.compute_loss(x=X, y=Y, y_pred=model(X))
    assert np.isfinite(model.compute_loss(x=X, y=Y, y_pred=model(X), training=False))


# Gates with a rule of their own


@pytest.mark.parametrize(
    ("gate", "named", "message"),
    [
        pytest.param(lambda: bl.gates.MGDA(), {}, "weighs losses by their gradients", id="gradients"),
        pytest.param(
            lambda: bl.gates.Learned(),
            {"held_out": bl.keras.HeldOut("mae")},
            "follows the held-out loss",
            id="held-out",
        ),
    ],
)
def test_a_step_of_ones_own_without_the_gates_rule_raises(gate, named, message):
    model = Guide(network(), bl.Blend({"mse": "mse", "mae": "mae"}, gate()), **named)
    model.compile("sgd", metrics=["mae"])
    data = {"held_out_data": (X, Y)} if named else {}
    with pytest.raises(ValueError, match=message + r".*super\(\).train_step\(data\)"):
        fit(model, **data)


def test_a_gate_of_gradients_in_a_step_of_ones_own():
    class Own(bl.BlendedModel):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                y_pred = self(x, training=True)
                values = self.blend.values(y, y_pred)
            gradients, _ = self.blend.gradients(tape, values, self.trainable_variables, step=self.step)
            self.optimizer.apply(gradients, self.trainable_variables)
            return self.compute_metrics(x, y, y_pred)

    model, twin = (
        model_of(kind, bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.PCGrad(seed=0)))
        for kind in (Own, bl.BlendedModel)
    )
    fit(model), fit(twin)
    assert int(model.step) == 8
    for ours, theirs in zip(model.network.get_weights(), twin.network.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_gate_of_progress_in_a_step_of_ones_own():
    class Own(Guide):
        def train_step(self, data):
            logs = super().train_step(data)
            x, y = data
            self.blend.gate.observe_progress(self.blend.values(y, self(x, training=True)))
            return logs

    def blend():
        return bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.FAMO())

    model, twin = model_of(Own, blend()), model_of(bl.BlendedModel, blend())
    fit(model), fit(twin)
    assert_same_weights(model, twin)
    with pytest.raises(tf.errors.InvalidArgumentError, match="observe_progress"):
        fit(model_of(Guide, blend()))


# Gates that watch a metric


def test_a_metric_gate_that_nothing_shows_its_metric_raises():
    model = model_of(blend=bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Plateau("val_mae", patience=1)))
    with pytest.raises(ValueError, match=r"gate.observe\(value\).*gate.metric_observed = True"):
        model.train_on_batch(X, Y)
    gate = model.blend.gate
    gate.metric_observed = True
    for _ in range(3):
        model.train_on_batch(X, Y)
        gate.observe(model.evaluate(X, Y, verbose=0, return_dict=True)["mae"] + 10 * float(gate.stage == 0))
    fit(model, validation_data=(X, Y))


# Metrics


def test_a_loop_over_metrics_of_ones_own():
    class Own(bl.BlendedModel):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.loss_tracker = keras.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.loss_tracker]

        def train_step(self, data):
            super().train_step(data)
            self.loss_tracker.update_state(3.0)
            return {"loss": self.loss_tracker.result()}

    gates = (bl.gates.Fixed([1.0, 1.0]), bl.gates.MGDA())
    for gate in gates:
        model = model_of(Own, bl.Blend({"mse": "mse", "mae": "mae"}, gate))
        assert fit(model) == {"loss": [3.0, 3.0]}
