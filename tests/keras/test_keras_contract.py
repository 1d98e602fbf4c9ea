"""The table in docs/keras.md, row by row: what Keras does, and what BlendedModel does.

Each row has an id in the table and a check of that id here; `both` does the same to a plain Keras model and to a
`BlendedModel` of the same network, whose blend is the plain model's loss.
"""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl
from tests.seeding import seed

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "keras.md").read_text()
TABLE = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", PAGE, re.MULTILINE))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 3)).astype("float32")
Y = RNG.normal(size=(32, 1)).astype("float32")
W = np.linspace(0, 2, 32).astype("float32")
CHECKS: dict[str, Callable[[], object]] = {}


def row(name):
    def added(check):
        assert name not in CHECKS
        CHECKS[name] = check
        return check

    return added


def test_every_row_has_a_check_and_every_check_a_row():
    assert set(TABLE) == set(CHECKS)
    assert len(TABLE) == len(re.findall(r"^\| `", PAGE, re.MULTILINE))


@pytest.mark.parametrize("name", CHECKS)
def test_row(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CHECKS[name]()


def network():
    return keras.Sequential(
        [keras.Input([3]), keras.layers.Dense(4, "tanh", name="lower"), keras.layers.Dense(1, name="upper")]
    )


def pair(net=network, loss="mse", kind=bl.BlendedModel, base=None, **named):
    """A plain model of a network and its BlendedModel, from the same weights."""
    seed()
    plain = net() if base is None else base(net())
    seed()
    blended = kind(net(), bl.Blend({"loss": loss}, bl.gates.Fixed([1.0])))
    named = {"optimizer": "adam", "metrics": ["mae"], **named}
    plain.compile(**{**named, "optimizer": keras.optimizers.get(named["optimizer"])}, loss=loss)
    blended.compile(**{**named, "optimizer": keras.optimizers.get(named["optimizer"])})
    return plain, blended


def of_keras(found):
    """What Keras gives, too: without the blend's weights and losses."""
    return {name: value for name, value in found.items() if "/" not in name} if isinstance(found, dict) else found


def assert_equal(found, expected):
    assert keras.tree.map_structure(lambda _: 0, of_keras(found)) == keras.tree.map_structure(lambda _: 0, expected)
    for ours, theirs in zip(tf.nest.flatten(of_keras(found)), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def both(action, models=None, **named):
    """The action gives the same with both, and leaves the same weights in both networks."""
    plain, blended = models or pair(**named)
    expected, found = action(plain), action(blended)
    assert_equal(found, expected)
    for ours, theirs in zip(blended.network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return plain, blended


def fitted(x=X, y=Y, **named):
    return lambda model: (
        model.fit(x, y, **{"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0, **named}).history
    )


# Training and evaluation


@row("history")
def _():
    both(fitted())


@row("evaluate")
def _():
    plain, blended = both(lambda model: model.evaluate(X, Y, verbose=0, return_dict=True))
    listed = blended.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(listed[:2], plain.evaluate(X, Y, verbose=0), rtol=1e-5)
    assert len(listed) == 4  # then the blend's: gate/loss, loss/loss


@row("predict")
def _():
    both(lambda model: [model.predict(X, verbose=0), model.predict_on_batch(X), model(X)])


@row("on-batch")
def _():
    both(lambda model: [model.train_on_batch(X, Y, sample_weight=W)[:2], model.test_on_batch(X, Y)[:2]])


@row("weights")
def _():
    weighted = {"weighted_metrics": ["mae"]}
    both(fitted(sample_weight=W, validation_data=(X, Y, W[::-1])), **weighted)
    with pytest.raises(ValueError, match="cardinality"):
        pair()[1].fit(X, Y, sample_weight=W[1:], verbose=0)


@row("class-weight")
def _():
    both(fitted(y=(Y > 0).astype("int64"), class_weight={0: 1.0, 1: 3.0}), loss="binary_crossentropy")


@row("validation")
def _():
    both(fitted(validation_split=0.25, validation_freq=2, validation_batch_size=3))


@row("data")
def _():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            part = slice(8 * index, 8 * index + 8)
            return X[part], Y[part], W[part]

    def generator():
        while True:
            yield from dataset.as_numpy_iterator()

    dataset = tf.data.Dataset.from_tensor_slices((X, Y, W)).batch(8)
    for data in (lambda: dataset, Batches, generator):
        both(lambda model, data=data: model.fit(data(), epochs=2, steps_per_epoch=4, shuffle=False, verbose=0).history)


@row("ways-of-running")
def _():
    for way in ({"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 2}):
        both(fitted(validation_data=(X, Y)), **way)


@row("masks")
def _():
    def masking():
        return keras.Sequential([keras.Input([4, 3]), keras.layers.Masking(), keras.layers.Dense(1)])

    x = RNG.normal(size=(8, 4, 3)).astype("float32")
    x[:, 2:] = 0
    y = RNG.normal(size=(8, 4, 1)).astype("float32")
    both(fitted(x, y, sample_weight=W.reshape(8, 4)), net=masking, weighted_metrics=["mae"])


@row("added-losses")
def _():
    class Activity(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(tf.reduce_sum(inputs**2))
            return inputs

    def net():
        return keras.Sequential([keras.Input([3]), keras.layers.Dense(1, kernel_regularizer="l2"), Activity()])

    both(fitted(), net=net)


@row("metrics")
def _():
    class Counting(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.seen = keras.layers.Dense(1), keras.metrics.Mean("seen")

        def call(self, inputs):
            self.seen.update_state(tf.reduce_mean(inputs))
            return self.dense(inputs)

    plain, blended = both(fitted(), net=Counting, metrics=["mae", keras.metrics.RootMeanSquaredError(name="rmse")])
    assert [name for name in blended.metrics_names if name != "blend_metrics"] == plain.metrics_names
    blended.reset_metrics()
    assert float(blended.network.seen.total) == 0


@row("input-dtype")
def _():
    keras.config.set_dtype_policy("mixed_float16")

    def net():
        return keras.Sequential([keras.Input([3]), keras.layers.Rescaling(1.0, -2048.0, dtype="float32")])

    both(lambda model: model.predict(2048 + X, verbose=0), net=net)


@row("regularised-optimizer")
def _():
    for optimizer in (
        lambda: keras.optimizers.AdamW(weight_decay=0.1, clipnorm=1.0, use_ema=True),
        lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 8), gradient_accumulation_steps=2),
    ):
        (plain, _), (_, blended) = pair(optimizer=optimizer()), pair(optimizer=optimizer())
        both(fitted(), models=(plain, blended))
        assert int(blended.optimizer.iterations) == int(plain.optimizer.iterations)


@row("optimizer-object")
def _():
    given = keras.optimizers.SGD(0.1)
    blend = bl.Blend({"mse": "mse", "mae": "mae"}, bl.gates.Learned())
    model = bl.BlendedModel(network(), blend)
    model.compile(given, gate_optimizer="adam")
    assert model.optimizer is given
    model.optimizer.learning_rate = 0.0
    before = model.network.get_weights()
    fitted()(model)
    for ours, earlier in zip(model.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, earlier)
    assert np.any(blend.gate.logits.numpy() != 0)


# Callbacks


@row("callbacks")
def _():
    def action(model):
        rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (1 + epoch))
        plateau = keras.callbacks.ReduceLROnPlateau("val_mae", patience=1, min_delta=10.0)
        seen: list[list[str]] = []
        names = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(sorted(of_keras(logs)))
        )
        history = fitted(epochs=3, validation_data=(X, Y), callbacks=[rates, plateau, names])(model)
        assert seen == [["loss", "mae"]] * 12
        return [of_keras(history), float(model.optimizer.learning_rate)]

    both(action)


@row("early-stopping")
def _():
    def action(model):
        stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=100.0, restore_best_weights=True)
        return [of_keras(fitted(epochs=5, callbacks=[stop])(model)), stop.stopped_epoch]

    _, blended = both(action)
    assert int(blended.step) == 4  # of the best epoch, the first
    assert int(blended.optimizer.iterations) == 8  # as in Keras: the optimizer is not restored


@row("checkpoints")
def _():
    def action(model):
        path = f"{type(model).__name__}.keras"
        fitted(callbacks=[keras.callbacks.ModelCheckpoint(path)])(model)
        loaded = keras.models.load_model(path)
        return of_keras(fitted()(loaded))

    both(action)


@row("backup")
def _():
    class Killed(Exception):
        pass

    def action(model):
        def kill(epoch, logs):
            if epoch == 1:
                raise Killed

        backup = keras.callbacks.BackupAndRestore(f"backup-{type(model).__name__}")
        stop = keras.callbacks.LambdaCallback(on_epoch_begin=kill)
        with pytest.raises(Killed):
            fitted(epochs=3, callbacks=[backup, stop])(model)
        return fitted(epochs=3, callbacks=[backup])(model)

    _, blended = both(action)
    assert int(blended.step) == int(blended.optimizer.iterations) == 12


# Weights, saving, exporting


@row("freezing")
def _():
    models = pair()
    for model in models:
        inner = getattr(model, "network", model)
        inner.get_layer("lower").trainable = False
        model.compile("adam", metrics=["mae"], **({} if inner is not model else {"loss": "mse"}))
    before = models[1].network.get_layer("lower").get_weights()
    both(fitted(), models=models)
    np.testing.assert_array_equal(models[1].network.get_layer("lower").get_weights()[0], before[0])


@row("names-of-weights")
def _():
    plain, blended = pair()
    paths = [[v.path.split("/")[1:] for v in model.weights] for model in (blended.network, plain)]
    assert paths[0] == paths[1]
    assert [v.name for v in blended.trainable_variables] == [v.name for v in plain.trainable_variables]
    assert {v.name for v in blended.weights} == {v.name for v in plain.weights} | {"logged_at", "step"}
    assert blended.count_params() == plain.count_params() + 2


@row("summary")
def _():
    lines: list[str] = []
    pair()[1].summary(print_fn=lines.append)
    assert re.search(r"sequential\S* \(Sequential\).*\(None, 1\).*21", "\n".join(lines))


@row("saving")
def _():
    def action(model):
        fitted()(model)
        model.save("model.keras")
        model.save_weights("model.weights.h5")
        loaded = keras.models.load_model("model.keras")
        model.load_weights("model.weights.h5")
        return [loaded.predict(X, verbose=0), of_keras(fitted()(loaded)), int(loaded.optimizer.iterations)]

    both(action)


@row("export")
def _():
    def action(model):
        model.export("exported", verbose=False)
        tf.saved_model.save(model, "saved")
        exported, saved = tf.saved_model.load("exported"), tf.saved_model.load("saved")
        return [exported.serve(X), *saved.signatures["serving_default"](tf.constant(X)).values()]

    both(action)


@row("attributes")
def _():
    plain, blended = pair()
    assert blended.input_shape == plain.input_shape
    assert blended.output_shape == plain.output_shape
    assert [tensor.shape for tensor in blended.inputs] == [tensor.shape for tensor in plain.inputs]
    assert not hasattr(plain, "output_names")
    assert not hasattr(blended, "output_names")


# Several outputs: the details are in test_outputs.py


def outputs(structure):
    inputs = keras.Input([3])
    return keras.Model(
        inputs, keras.tree.map_structure(lambda name: keras.layers.Dense(1, name=name)(inputs), structure)
    )


def several(structure, targets, keys):
    seed()
    plain = outputs(structure)
    seed()
    heads = {str(key): bl.losses.OutputLoss(key, "mse") for key in keys}
    blended = bl.BlendedModel(outputs(structure), bl.Blend(heads, bl.gates.Fixed([1.0] * len(keys))))
    plain.compile("sgd", loss="mse", metrics=keras.tree.map_structure(lambda _: "mae", structure))
    blended.compile("sgd", metrics=keras.tree.map_structure(lambda _: "mae", structure))

    def action(model):
        history = fitted(y=targets)(model)
        return {name: values for name, values in history.items() if not name.endswith("_loss")}

    both(action, models=(plain, blended))


@row("list-outputs")
def _():
    several(["depth", "normal"], {"depth": Y, "normal": 2 * Y}, ["depth", "normal"])


@row("dict-outputs")
def _():
    several({"depth": "d", "normal": "n"}, {"depth": Y, "normal": 2 * Y}, ["depth", "normal"])


@row("nested-outputs")
def _():
    several({"a": {"b": "one", "c": "two"}}, {"a": {"b": Y, "c": 2 * Y}}, ["a/b", "a/c"])


@row("one-output")
def _():
    both(fitted(), net=lambda: outputs({"out": "dense"}))


# The user's own rules: the details are in test_step_count.py


_Mixin: Any = object  # what it calls is in the class beside it


class Steps(_Mixin):
    """Rules of the user's own, for a plain model and for a BlendedModel."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)

    def test_step(self, data):
        return {**super().test_step(data), "own": tf.constant(1.0)}

    def predict_step(self, data):
        return super().predict_step(data) + 7

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return {**super().compute_metrics(x, y, y_pred, sample_weight), "more": tf.constant(2.0)}


def overriding(*names):
    """A plain model and a BlendedModel with some of the rules of `Steps`."""
    rules = {name: getattr(Steps, name) for name in names}

    def filled(base):
        # `super()` in a rule looks from `Steps` on.
        return type("Own", (type("Rules", (Steps,), {n: getattr(base, n) for n in RULES if n not in names}), base), {})

    def wrapped(net):
        return filled(keras.Model)(net.inputs, net.outputs)

    assert set(rules) <= set(RULES)
    return pair(kind=filled(bl.BlendedModel), base=wrapped)


RULES = ("train_step", "compute_loss", "test_step", "predict_step", "compute_metrics")


@row("train-step")
def _():
    _, blended = both(fitted(validation_data=(X, Y)), models=overriding("train_step"))
    assert int(blended.step) == 8


@row("compute-loss")
def _():
    _, blended = both(fitted(validation_data=(X, Y)), models=overriding("compute_loss"))
    both(fitted(), models=overriding("compute_loss", "train_step"))
    assert int(blended.step) == 8


@row("other-steps")
def _():
    models = overriding("test_step", "predict_step", "compute_metrics")
    both(lambda model: [of_keras(fitted(validation_data=(X, Y))(model)), model.predict(X, verbose=0)], models=models)


@row("rules-of-the-network")
def _():
    class Sevens(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

        def predict_step(self, data):
            return super().predict_step(data) * 0 + 7

    both(lambda model: [of_keras(fitted()(model)), model.predict(X, verbose=0)], net=Sevens)
    for rule in ("train_step", "test_step", "compute_loss", "compute_metrics"):
        own = type("Own", (Sevens,), {rule: lambda self, *arguments, **named: None})
        with pytest.raises(TypeError, match=f"never calls its '{rule}'"):
            bl.BlendedModel(own(), bl.Blend({"mse": "mse"}, bl.gates.Fixed([1.0])))


@row("loop-of-ones-own")
def _():
    def action(model):
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = model.compute_loss(x=X, y=Y, y_pred=model(X, training=True))
            model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    _, blended = both(action)
    assert int(blended.step) == 3


@row("compiled-again")
def _():
    def action(model):
        fitted()(model)
        model.compile("sgd", metrics=["mse"], **({"loss": "mse"} if not isinstance(model, bl.BlendedModel) else {}))
        return fitted()(model)

    _, blended = both(action)
    assert int(blended.step) == 16  # goes on, as the weights do
    assert int(blended.optimizer.iterations) == 8


@row("loss-in-compile")
def _():
    for named in ({"loss": "mse"}, {"loss_weights": [1.0]}):
        with pytest.raises(ValueError, match="compile without it"):
            pair()[1].compile("adam", **named)


# Losses: the details are in tests/blend


class Costs(keras.losses.MeanSquaredError):
    """A loss with a `__call__` of its own."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return 3 * super().__call__(y_true, y_pred, sample_weight)


@row("loss-call")
def _():
    both(fitted(sample_weight=W), loss=Costs())
    by_example = bl.gates.ByResidual([1.0])
    with pytest.raises(TypeError, match="must be a penalty"):
        bl.Blend({"costs": Costs(), "mse": bl.losses.SquaredError()}, by_example)


@row("loss-reduction")
def _():
    for reduction in ("sum", "mean_with_sample_weight", "mean"):
        loss = keras.losses.MeanSquaredError(reduction=reduction)
        both(fitted(sample_weight=W), loss=loss, optimizer="sgd")


@row("loss-of-the-batch")
def _():
    both(fitted(y=(Y > 0).astype("float32"), sample_weight=W), loss=keras.losses.Dice())


class Scaled(keras.losses.Loss):
    """A loss with a variable."""

    def __init__(self):
        super().__init__()
        self.factor = keras.Variable(2.0)

    def call(self, y_true, y_pred):
        return self.factor.value * tf.reduce_mean(tf.square(y_pred - y_true), -1)


@row("loss-variables")
def _():
    found = {}
    for name, model in zip(("keras", "ours"), pair(loss=Scaled(), optimizer="sgd"), strict=True):
        loss = model.loss if name == "keras" else next(iter(model.blend.functions.values()))
        loss.factor.assign(2.0)
        fitted()(model)
        found[name] = float(loss.factor)
    assert found["keras"] == 2.0
    assert found["ours"] < 2.0


@row("weights-of-a-loss")
def _():
    pairs = {"a": "mse", "b": "mae"}
    seed()
    plain = outputs(pairs)
    seed()
    heads = {f"of-{key}": bl.losses.OutputLoss(key, loss) for key, loss in pairs.items()}
    by_output = bl.BlendedModel(outputs(pairs), bl.Blend(heads, bl.gates.Fixed([1.0, 1.0])))
    plain.compile("sgd", loss=pairs)
    by_output.compile("sgd")
    y, weights = {"a": Y, "b": 2 * Y}, {"a": W, "b": W[::-1]}

    def action(model):
        return fitted(y=y, sample_weight=weights)(model)["loss"]

    both(action, models=(plain, by_output))
    blend = bl.Blend(pairs, bl.gates.Fixed([1.0, 1.0]))
    expected = keras.losses.MeanSquaredError()(Y, 0 * Y, W) + keras.losses.MeanAbsoluteError()(Y, 0 * Y)
    np.testing.assert_allclose(blend(Y, 0 * Y, {"a": W}), expected, rtol=1e-6)


@row("missing-targets")
def _():
    missing = np.where(np.arange(32)[:, None] == 0, np.nan, Y).astype("float32")
    assert W[0] == 0
    plain, blended = pair()
    expected = fitted(sample_weight=W)(plain)["loss"]  # of targets that are all there
    np.testing.assert_allclose(fitted(y=missing, sample_weight=W)(blended)["loss"], expected, rtol=1e-5)
    assert np.isnan(fitted(y=missing, sample_weight=W)(plain)["loss"]).all()


@row("targets")
def _():
    def action(model):
        return fitted(y=Y[:, 0])(model)  # [batch] for predictions of [batch, 1]

    both(action)
    with pytest.raises(ValueError, match="`y` must be given"):
        pair()[1].fit(X, verbose=0)
