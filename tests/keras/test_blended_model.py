"""The model: everything that Keras users do with one."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import blendloss as bl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [3.0], [4.0]] + RNG.standard_t(2, size=(64, 1))).astype("float32")
STATISTICS = bl.gates.statistics

GATES = {
    "fixed": lambda: bl.gates.Fixed([1.0, 2.0, 3.0]),
    "scheduled": lambda: bl.gates.Scheduled(bl.schedules.linear(0.0, 2.0, steps=20)),
    "learned": lambda: bl.gates.Learned(),
    "learned-initial": lambda: bl.gates.Learned(
        normalize="initial", regularizers=[bl.gates.regularizers.KL([0.2, 0.3, 0.5], 0.1)]
    ),
    "learned-running": lambda: bl.gates.Learned(
        normalize="running", regularizers=[bl.gates.regularizers.Entropy(bl.schedules.linear(1.0, 0.0, steps=12))]
    ),
    "learned-likelihood": lambda: bl.gates.Learned(normalize="likelihood"),
    "bayesian-dirichlet": lambda: bl.gates.Bayesian(bl.gates.families.Dirichlet(), examples=64, seed=0),
    "bayesian-logistic-normal": lambda: bl.gates.Bayesian(bl.gates.families.LogisticNormal(), examples=64, seed=0),
    "network": lambda: bl.gates.Network(keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])),
    "uncertainty": lambda: bl.gates.Uncertainty(initial=1.0),
    "plateau": lambda: bl.gates.Plateau("val_mae", patience=1, min_delta=1.0),
    "threshold": lambda: bl.gates.Threshold("val_mae", [4.5, 2.0], hysteresis=0.5),
    "mean-absolute": lambda: bl.gates.ResidualState(STATISTICS.MeanAbsolute(), [2.0, 3.0], width=1.0, memory=5),
    "quantile": lambda: bl.gates.ResidualState(STATISTICS.QuantileAbsolute(0.9), [2.0, 3.0], width=1.0),
    "outlier-share": lambda: bl.gates.ResidualState(STATISTICS.OutlierShare(2.0), [0.05, 0.2], width=0.1),
    "kurtosis": lambda: bl.gates.ResidualState(STATISTICS.Kurtosis(), [3.0, 6.0], width=1.0),
    "stagnation": lambda: bl.gates.ResidualState(STATISTICS.Stagnation(), [0.9, 1.0], width=0.1),
    "imtl-l": lambda: bl.gates.IMTLL(),
    "geometric-mean": lambda: bl.gates.GeometricMean(),
    "smooth-tchebycheff": lambda: bl.gates.SmoothTchebycheff(0.5, warmup=4, averaging=8),
    "pbi": lambda: bl.gates.PBI([1.0, 2.0, 3.0], 0.5),
    "famo": lambda: bl.gates.FAMO(),
    "famo-next-batch": lambda: bl.gates.FAMO(same_batch=False),
    "exp3": lambda: bl.gates.Exp3(0.2, seed=0, history=6),
    "exp3-s": lambda: bl.gates.Exp3S(seed=0, rate=0.1, history=6),
    "softadapt": lambda: bl.gates.SoftAdapt(order=1, loss_weighted=True, momentum=0.5),
    "relobralo": lambda: bl.gates.ReLoBRaLo(0.9, 0.5, 0.5, seed=0),
    "dwa": lambda: bl.gates.DWA(4),
    "dwa-sliding": lambda: bl.gates.DWA(2, sliding=True),
    "random": lambda: bl.gates.Random(seed=0),
    "normalized-rms": lambda: bl.gates.Normalized("rms"),
    "grad-norm": lambda: bl.gates.GradNorm(),
    "lr-annealing": lambda: bl.gates.LRAnnealing(every=3),
    "ntk": lambda: bl.gates.NTK(every=3),
    "ntk-probes": lambda: bl.gates.NTK(probes=2, seed=0, momentum=0.5, every=3),
    "grad-drop": lambda: bl.gates.GradDrop(0.1, seed=0),
    "mgda": lambda: bl.gates.MGDA("loss+"),
    "cagrad": lambda: bl.gates.CAGrad(0.5),
    "nash-mtl": lambda: bl.gates.NashMTL(every=3),
    "fair-grad": lambda: bl.gates.FairGrad(2.0),
    "imtl-g": lambda: bl.gates.IMTLG(),
    "aligned-mtl": lambda: bl.gates.AlignedMTL(),
    "config": lambda: bl.gates.ConFIG(),
    "pcgrad": lambda: bl.gates.PCGrad(seed=0),
    "grad-vac": lambda: bl.gates.GradVac(0.1, seed=0),
    "upgrad": lambda: bl.gates.UPGrad(),
}
MODES = {
    "soft": lambda: bl.modes.Soft(),
    "annealed": lambda: bl.modes.Annealed(bl.schedules.exponential(5.0, 0.1, steps=30), bl.modes.entmax15, seed=3),
    "hard": lambda: bl.modes.Hard(),
    "reinmax": lambda: bl.modes.Hard(bl.modes.ReinMax(2)),
}


def network():
    return keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])


def blend_of(gate="scheduled", mode="soft"):
    made = GATES[gate]()
    of_residuals = made.needs_penalties or made.elementwise or made.needs_residuals
    mae = bl.losses.AbsoluteError() if of_residuals else "mae"
    return bl.Blend({"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(), "mae": mae}, made, MODES[mode]())


def model_of(gate="scheduled", mode="soft", net=None, **named):
    keras.utils.set_random_seed(0)
    model = bl.BlendedModel(network() if net is None else net(), blend_of(gate, mode))
    model.compile(**{"optimizer": "adam", "metrics": ["mae"], **named})
    return model


def fit(model, epochs=2, **named):
    data = {"validation_data": (X, Y), "batch_size": 16, "shuffle": False, "verbose": 0, **named}
    return model.fit(X, Y, epochs=epochs, **data).history


def assert_same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# What history holds


def test_history_has_every_weight_and_every_loss():
    history = fit(model_of())
    for prefix in ("", "val_"):
        for name in ("mse", "huber", "mae"):
            assert len(history[f"{prefix}gate/{name}"]) == len(history[f"{prefix}loss/{name}"]) == 2
    # 4 steps an epoch, 20 steps for two losses' way: the weight of the last step of each epoch.
    np.testing.assert_allclose(history["gate/huber"], [0.3, 0.7], rtol=1e-6)
    np.testing.assert_allclose(history["val_gate/huber"], [0.4, 0.8], rtol=1e-6)


def test_loss_is_the_blend_of_what_history_holds():
    history = fit(model_of("fixed"))
    blended = sum(
        w * np.array(history[f"loss/{name}"]) for w, name in zip([1, 2, 3], ("mse", "huber", "mae"), strict=True)
    )
    np.testing.assert_allclose(history["loss"], blended, rtol=1e-5)


def test_loss_that_was_never_evaluated_is_not_a_number():
    history = fit(model_of("scheduled", "hard"))
    assert np.isfinite(history["loss/mse"]).all()
    assert np.isnan(history["loss/mae"]).all()


def test_evaluate_gives_what_fit_gave():
    model = model_of()
    history = fit(model)
    evaluated = model.evaluate(X, Y, batch_size=16, verbose=0, return_dict=True)
    for name, value in evaluated.items():
        np.testing.assert_allclose(value, history[f"val_{name}"][-1], rtol=1e-6)


# Training


@pytest.mark.parametrize("kind", ["frame", "series", "dict", "generator"])
def test_fits_whatever_keras_fits(kind):
    def generator():
        while True:
            yield X[:16], Y[:16]

    inputs = keras.Input([1 if kind == "series" else 4], name="x")
    model = bl.BlendedModel(
        keras.Model({"x": inputs} if kind == "dict" else inputs, keras.layers.Dense(1)(inputs)), blend_of()
    )
    model.compile("sgd", metrics=["mae"])
    data = {
        "frame": lambda: {"x": pd.DataFrame(X), "y": pd.Series(Y[:, 0])},
        "series": lambda: {"x": pd.Series(X[:, 0]), "y": pd.Series(Y[:, 0])},
        "dict": lambda: {"x": {"x": X}, "y": Y},
        "generator": lambda: {"x": generator(), "steps_per_epoch": 4, "shuffle": False},
    }[kind]()
    shuffle = {} if kind == "generator" else {"batch_size": 16}
    assert np.isfinite(model.fit(**data, **shuffle, verbose=0).history["loss"]).all()
    assert int(model.step) == 4


def test_fixed_blend_trains_as_keras_does():
    blended = model_of("fixed")
    fit(blended)
    keras.utils.set_random_seed(0)
    plain = network()
    plain.compile("adam", loss=blend_of("fixed"))
    plain.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(blended.network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_learned_gate_trains(mode):
    model = model_of("learned", mode, optimizer=keras.optimizers.Adam(0.1))
    assert any(variable is model.blend.gate.logits for variable in model.trainable_variables)
    fit(model)
    assert np.abs(model.blend.gate.logits.numpy()).min() > 0


class Counted(bl.BlendedModel):
    """Python runs a traced step only when it is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("data", ["arrays", "dataset"])
def test_training_step_is_traced_once(mode, data):
    model = Counted(network(), blend_of("learned", mode))
    model.compile("adam", metrics=["mae"])
    arguments = (X, Y) if data == "arrays" else (tf.data.Dataset.from_tensor_slices((X, Y)).batch(16),)
    for _ in range(2):
        model.fit(*arguments, epochs=2, verbose=0, shuffle=False, **({"batch_size": 16} if data == "arrays" else {}))
    assert model.traces == 1


@pytest.mark.parametrize(
    "named",
    [
        {"jit_compile": True},
        {"steps_per_execution": 2},
        {"run_eagerly": True},
    ],
    ids=lambda named: next(iter(named)),
)
def test_every_way_of_running_gives_the_same(named):
    reference, other = model_of("quantile", "annealed"), model_of("quantile", "annealed", **named)
    expected, found = fit(reference), fit(other)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_train_on_batch():
    model = model_of()
    logs = [model.train_on_batch(X, Y, return_dict=True)["gate/huber"] for _ in range(3)]
    np.testing.assert_allclose(logs, [0.0, 0.1, 0.2], rtol=1e-5, atol=1e-7)


def test_steps_are_the_optimizers_updates_under_gradient_accumulation():
    model = model_of(optimizer=keras.optimizers.Adam(gradient_accumulation_steps=2))
    fit(model)
    assert int(model.step) == 4  # 8 batches


def test_an_optimizer_with_a_rule_of_its_own_says_what_an_update_is():
    class EverySecond(keras.optimizers.SGD):
        def apply(self, grads, trainable_variables=None):
            super().apply(grads, trainable_variables)
            self._iterations.assign_sub(self.calls % 2)
            self.calls += 1

        calls = 0

    model = model_of(optimizer=EverySecond(0.0))
    model.compile(model.optimizer, run_eagerly=True)
    fit(model)
    assert int(model.step) == int(model.optimizer.iterations) == 4  # 8 batches


def test_a_network_that_does_not_train_makes_no_steps():
    model = model_of()
    model.network.trainable = False
    with pytest.warns(UserWarning, match="trainable"):
        fit(model)
    assert int(model.step) == int(model.optimizer.iterations) == 0


def test_regularisation_losses_are_added():
    def regularised():
        return keras.Sequential([keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1.0))])

    model = model_of("fixed", net=regularised)
    value = model.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    expected = float(model.blend(Y, model.predict(X, verbose=0))) + (model.network.get_weights()[0] ** 2).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = model_of("learned", "annealed")
    history = fit(model)
    assert np.isfinite(history["loss"]).all()
    assert model.blend.gate.logits.dtype == "float32"
    # A step whose scaled gradients overflow updates nothing, and is not counted.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert 0 < int(model.step) == int(optimizer.iterations) <= 8


def test_sample_weights():
    weights = np.linspace(0, 1, 64).astype("float32")
    model = model_of("fixed")
    value = model.evaluate(X, Y, sample_weight=weights, batch_size=64, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(value, model.blend(Y, model.predict(X, verbose=0), weights), rtol=1e-5)


# Networks


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, **named):
        super().__init__(**named)
        self.dense, self.norm = keras.layers.Dense(1), keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.norm.build(input_shape)
        self.built = True

    def call(self, x, training=None):
        return self.dense(self.norm(x, training=training))


def functional():
    inputs = keras.Input([4])
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.BatchNormalization()(inputs)))


NETWORKS = {"sequential": network, "functional": functional, "subclassed": Subclassed}


class Unbuilt(keras.Model):
    """Without a `build`: its layers are built when it is called."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = keras.layers.Dense(8), keras.layers.Dense(1)

    def call(self, x):
        return self.out(self.hidden(x))


def test_a_network_without_a_build_of_its_own_is_built_by_a_call(tmp_path, recwarn):
    model = model_of("softadapt", net=Unbuilt)
    fit(model, epochs=1)
    model.save_weights(tmp_path / "model.weights.h5")
    restored = bl.BlendedModel(Unbuilt(), blend_of("softadapt"))
    restored.build((None, 4))  # in Keras it would only be marked as built, and load no weights
    restored.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(restored.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not [warning for warning in recwarn if "build" in str(warning.message)]


def test_a_network_of_rows_is_built_by_the_first_batch():
    class OfRows(Unbuilt):
        def call(self, rows):
            return self.out(self.hidden(tf.gather(X, rows)))  # takes no floats

    model = bl.BlendedModel(OfRows(), blend_of("learned"))
    model.compile("sgd")
    losses = model.fit(np.arange(64), Y, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert len(model.network.trainable_variables) == 4


@pytest.mark.parametrize("net", NETWORKS)
def test_saved_and_continued_is_never_having_stopped(net, tmp_path):
    straight, stopped = model_of(net=NETWORKS[net]), model_of(net=NETWORKS[net])
    fit(straight, epochs=2)
    fit(stopped, epochs=1)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(resumed.predict(X, verbose=0), stopped.predict(X, verbose=0))
    fit(resumed, epochs=2, initial_epoch=1)
    assert_same_weights(straight, resumed)


@pytest.mark.parametrize(
    ("gate", "mode"), [*((gate, "annealed") for gate in GATES), ("learned", "reinmax"), ("scheduled", "hard")]
)
def test_every_gate_resumes_bit_for_bit(gate, mode, tmp_path):
    straight, stopped = model_of(gate, mode), model_of(gate, mode)
    history = fit(straight, epochs=4)
    fit(stopped, epochs=2)
    stopped.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert_same_weights(resumed, stopped)
    continued = fit(resumed, epochs=4, initial_epoch=2)
    assert_same_weights(straight, resumed)
    for name, values in continued.items():
        np.testing.assert_array_equal(values, history[name][2:], err_msg=name)


def test_killed_between_epochs_and_restored_from_a_backup(tmp_path):
    class Killed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    straight, killed, restarted = (model_of("learned", "annealed", net=functional) for _ in range(3))
    fit(straight, epochs=4)
    with pytest.raises(KeyboardInterrupt):
        fit(killed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path), Killed()])
    fit(restarted, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_weights(straight, restarted)


def test_weights_alone_keep_gate_and_step(tmp_path):
    model = model_of("plateau")
    fit(model, epochs=3)
    model.save_weights(tmp_path / "model.weights.h5")
    other = bl.BlendedModel(network(), blend_of("plateau"))
    other.build((None, 4))
    other.load_weights(tmp_path / "model.weights.h5")
    assert int(other.step) == int(model.step) == 12
    assert int(other.blend.gate.stage) == int(model.blend.gate.stage)


@pytest.mark.filterwarnings("ignore:.*__array__.*:DeprecationWarning")
@pytest.mark.parametrize("net", ["sequential", "functional"])
def test_exported_is_the_network(net, tmp_path, capfd):
    model = model_of("fixed", net=NETWORKS[net])
    fit(model, epochs=1)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.serve(X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_frozen_gate_stays_frozen_with_its_optimizer(tmp_path):
    model = model_of("learned")
    model.blend.gate.trainable = False
    model.compile("adam")
    fit(model, epochs=1)
    model.save(tmp_path / "model.keras")
    resumed = keras.models.load_model(tmp_path / "model.keras")
    assert not resumed.blend.gate.trainable
    assert int(resumed.optimizer.iterations) == 4


def test_compiling_again_keeps_the_step():
    model = model_of()
    fit(model)
    model.compile("sgd")
    assert int(model.step) == 8


# Gates that watch a metric


def test_plateau_switches_in_fit():
    history = fit(model_of("plateau", "hard"), epochs=6)
    # The first epoch sets the best; each later one that gains less than min_delta moves on.
    stages = [max(("mse", "huber", "mae"), key=lambda name: history[f"gate/{name}"][epoch]) for epoch in range(6)]
    assert stages == sorted(stages, key=["mse", "huber", "mae"].index)
    assert stages[0] == "mse"
    assert stages[-1] == "mae"


def test_fit_without_validation_refuses_a_gate_that_watches_it():
    with pytest.raises(ValueError, match="pass `validation_data=` or `validation_split=`"):
        model_of("plateau").fit(X, Y, verbose=0)


def test_metric_that_is_not_logged_raises():
    with pytest.raises(ValueError, match="watches 'val_mae', which is not among the logs"):
        fit(model_of("plateau", metrics=["mse"]))


@pytest.mark.parametrize("made", [False, True], ids=["list", "CallbackList"])
def test_monitor_of_another_gate_does_not_stand_in(made):
    model = model_of("plateau")
    other = model_of("plateau").blend.gate
    callbacks = [bl.keras.MetricMonitor(other)]
    if made:
        callbacks = keras.callbacks.CallbackList(callbacks, model=model, add_history=True)
    model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=callbacks)
    assert np.isfinite(model.blend.gate.best.numpy())


def test_training_of_no_epochs_is_no_mistake():
    fit(model_of("plateau"), epochs=3, initial_epoch=3)


def test_loss_that_became_nan_is_seen():
    def broken(y_true, y_pred):
        return tf.reduce_mean(tf.math.log(y_pred - y_pred - 1), axis=-1)

    model = bl.BlendedModel(network(), bl.Blend({"mse": "mse", "broken": broken}, bl.gates.Fixed([1.0, 1.0])))
    model.compile("sgd")
    assert np.isnan(model.fit(X, Y, verbose=0).history["loss/broken"]).all()


def test_users_own_monitor_is_not_doubled():
    model = model_of("plateau")
    fit(model, epochs=3, callbacks=[bl.keras.MetricMonitor(model.blend.gate)])
    twin = model_of("plateau")
    fit(twin, epochs=3)
    assert_same_weights(model, twin)


# Mistakes


@pytest.mark.parametrize("named", [{"loss": "mse"}, {"loss_weights": [1.0]}])
def test_compile_refuses_a_loss(named):
    with pytest.raises(ValueError, match="is the blend's business"):
        bl.BlendedModel(network(), blend_of()).compile("adam", **named)


@pytest.mark.parametrize(("arguments", "message"), [((3, blend_of()), "`network`"), ((network(), "mse"), "`blend`")])
def test_wrong_arguments(arguments, message):
    with pytest.raises(TypeError, match=f"{message} must be a"):
        bl.BlendedModel(*arguments)


def test_blend_that_gives_no_scalar():
    blend = bl.Blend({"mse": "mse"}, bl.gates.Learned(), reduction="none")
    with pytest.raises(ValueError, match="must reduce to a scalar"):
        bl.BlendedModel(network(), blend)


# Replicas


@pytest.mark.parametrize(
    ("gate", "mode"),
    [
        ("learned", "reinmax"),
        ("learned-running", "soft"),
        ("learned-likelihood", "soft"),
        ("quantile", "soft"),
        ("scheduled", "hard"),
        ("plateau", "soft"),
        ("grad-norm", "soft"),
        ("lr-annealing", "soft"),
        ("ntk", "soft"),
        ("grad-drop", "soft"),
    ],
)
def test_two_replicas_are_one_device(gate, mode, replicas):
    one = model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))
    expected = fit(one)
    with replicas.scope():
        two = model_of(gate, mode, optimizer=keras.optimizers.SGD(0.01))
    found = fit(two)
    assert int(tf.convert_to_tensor(two.step)) == int(one.step) == 8
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6, err_msg=name)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
