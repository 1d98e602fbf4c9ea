"""The blend: its value, what it protects, what it refuses, in every regime."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import blendloss as bl

LOSSES = {"mse": bl.losses.SquaredError(), "huber": bl.losses.Huber(1.0), "mae": bl.losses.AbsoluteError()}
WEIGHTS = [0.2, 0.3, 0.5]
RNG = np.random.default_rng(0)
Y_TRUE = RNG.normal(size=(6, 2)).astype("float32")
Y_PRED = (Y_TRUE + 2 * RNG.normal(size=(6, 2))).astype("float32")


def fixed(**named):
    return bl.Blend(LOSSES, bl.gates.Fixed(WEIGHTS), **named)


def by_keras(reduction="sum_over_batch_size"):
    losses = [keras.losses.MeanSquaredError, keras.losses.Huber, keras.losses.MeanAbsoluteError]
    return [loss(reduction=reduction) for loss in losses]


@keras.saving.register_keras_serializable(package="tests")
class PerExample(bl.gates.Gate):
    """One gating vector for each example, from logits given as they are."""

    def __init__(self, logits, **named):
        super().__init__(**named)
        self.given = logits

    def gating(self, context):
        return tf.constant(self.given, tf.float32)

    def get_config(self):
        return {**super().get_config(), "logits": self.given}


@keras.saving.register_keras_serializable(package="tests")
class Inverse(bl.gates.Gate):
    """Weights in proportion to 1 / loss: a gate that needs the losses' values."""

    needs_values = True

    def gating(self, context):
        return -tf.math.log(context.values)


# Value, against Keras


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_value_is_the_weighted_sum_of_keras_losses(reduction, weighted):
    sample_weight = np.arange(6, dtype="float32") if weighted else None
    expected = sum(
        weight * loss(Y_TRUE, Y_PRED, sample_weight) for weight, loss in zip(WEIGHTS, by_keras(reduction), strict=True)
    )
    np.testing.assert_allclose(fixed(reduction=reduction)(Y_TRUE, Y_PRED, sample_weight), expected, rtol=1e-6)


def test_mask_on_the_predictions_counts_as_in_keras():
    prediction = tf.constant(Y_PRED)
    prediction._keras_mask = tf.constant([True, True, False, True, False, True])
    expected = sum(weight * loss(Y_TRUE, prediction) for weight, loss in zip(WEIGHTS, by_keras(), strict=True))
    np.testing.assert_allclose(fixed()(Y_TRUE, prediction), expected, rtol=1e-6)


def test_weights_need_not_sum_to_one():
    blend = bl.Blend(LOSSES, bl.gates.Fixed([1.0, 10.0, 100.0]))
    expected = sum(weight * loss(Y_TRUE, Y_PRED) for weight, loss in zip([1, 10, 100], by_keras(), strict=True))
    np.testing.assert_allclose(blend(Y_TRUE, Y_PRED), expected, rtol=1e-6)


def test_keras_losses_by_object_and_name_and_functions_stand_in_the_same_place():
    blend = bl.Blend(
        {
            "object": keras.losses.SparseCategoricalCrossentropy(),
            "name": "sparse_categorical_crossentropy",
            "function": lambda y, p: -tf.math.log(tf.gather(p, tf.cast(y, tf.int32), batch_dims=1)),
        },
        bl.gates.Fixed([1.0, 1.0, 1.0]),
    )
    labels, probabilities = np.array([0, 2]), np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], "float32")
    reading = blend.read(labels, probabilities)
    np.testing.assert_allclose(reading.losses, np.full(3, -np.log([0.5, 0.8]).mean()), rtol=1e-5)


def test_rank_one_is_a_batch_of_scalars():
    blend, sample_weight = fixed(reduction="none"), np.arange(6, dtype="float32")
    column = blend(Y_TRUE[:, :1], Y_PRED[:, :1], sample_weight)
    np.testing.assert_allclose(blend(Y_TRUE[:, 0], Y_PRED[:, 0], sample_weight), column, rtol=1e-6)
    np.testing.assert_allclose(blend(Y_TRUE[:, 0], Y_PRED[:, :1], sample_weight), column, rtol=1e-6)


def test_one_loss_is_that_loss():
    blend = bl.Blend({"mse": "mse"}, bl.gates.Learned())
    np.testing.assert_allclose(blend(Y_TRUE, Y_PRED, step=0), by_keras()[0](Y_TRUE, Y_PRED), rtol=1e-6)


def test_empty_batch_is_zero():
    assert float(fixed()(tf.zeros([0, 2]), tf.zeros([0, 2]))) == 0.0


def test_reading_has_every_loss_and_weight():
    reading = fixed().read(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(reading.losses, [loss(Y_TRUE, Y_PRED) for loss in by_keras()], rtol=1e-6)
    np.testing.assert_allclose(reading.weights, WEIGHTS, rtol=1e-6)


def test_gate_that_needs_values_gets_the_reduced_losses():
    reading = bl.Blend(LOSSES, Inverse()).read(Y_TRUE, Y_PRED)
    inverse = 1 / np.array(reading.losses)
    np.testing.assert_allclose(reading.weights, inverse / inverse.sum(), rtol=1e-5)
    np.testing.assert_allclose(reading.value, 3 / inverse.sum(), rtol=1e-5)


def test_functions_get_targets_of_the_predictions_rank():
    """As in Keras's `compile(loss=function)`; subtracting [batch] from [batch, 1] would give [batch, batch]."""

    def own(y_true, y_pred):
        return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)

    blend = bl.Blend({"own": own, "ours": bl.losses.SquaredError()}, bl.gates.Fixed([1, 1]))
    reading = blend.read(Y_TRUE[:, 0], Y_PRED[:, :1])
    np.testing.assert_allclose(reading.losses, np.full(2, np.mean((Y_TRUE[:, 0] - Y_PRED[:, 0]) ** 2)), rtol=1e-6)


def test_rank_one_is_a_batch_of_scalars_for_keras_losses_too():
    weight = np.array([1, 0, 0, 0, 0, 0], "float32")
    losses = {"ours": bl.losses.SquaredError(), "name": "mse", "object": keras.losses.MeanSquaredError()}
    reading = bl.Blend(losses, bl.gates.Fixed([1, 1, 1])).read(Y_TRUE[:, 0], Y_PRED[:, 0], weight)
    np.testing.assert_allclose(reading.losses, np.full(3, (Y_TRUE[0, 0] - Y_PRED[0, 0]) ** 2 / 6), rtol=1e-6)


@pytest.mark.parametrize("kind", ["sample_weight", "mask"])
def test_factors_with_more_axes_than_the_values_are_refused(kind):
    prediction, factor = tf.constant(Y_PRED[:2]), np.ones((2, 2), "float32")
    if kind == "mask":
        prediction._keras_mask = tf.constant(factor > 0)
    with pytest.raises(ValueError, match="must not have more axes than the values of the losses"):
        fixed()(Y_TRUE[:2], prediction, factor if kind == "sample_weight" else None)


# One gating vector for each example


def test_per_example_weights_blend_each_example_by_its_own():
    logits = np.log(RNG.dirichlet([1, 1, 1], size=6)).astype("float32")
    blend = bl.Blend(LOSSES, PerExample(logits.tolist()))
    values = np.stack([loss(Y_TRUE, Y_PRED) for loss in by_keras("none")], axis=-1)
    expected = (np.exp(logits) * values).sum(axis=-1)
    reading = blend.read(Y_TRUE, Y_PRED)
    np.testing.assert_allclose(reading.value, expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(reading.weights, np.exp(logits).mean(axis=0), rtol=1e-5)
    weighted = blend(Y_TRUE, Y_PRED, np.arange(6, dtype="float32"))
    np.testing.assert_allclose(weighted, (expected * np.arange(6)).mean(), rtol=1e-5)


def test_per_example_weight_zero_protects_its_example():
    logits = np.where(np.eye(2, dtype=bool), 0.0, -np.inf).tolist()
    blend = bl.Blend({"mse": "mse", "bad": lambda y, p: tf.math.log(p - p)[:, 0]}, PerExample(logits))
    prediction = tf.Variable([[1.0], [2.0]])
    with tf.GradientTape() as tape:
        values = bl.Blend({"mse": "mse", "bad": blend._given["bad"]}, PerExample([[0.0, -np.inf]] * 2))(
            [[0.0], [0.0]], prediction
        )
    assert float(values) == 2.5
    np.testing.assert_array_equal(tape.gradient(values, prediction), [[1.0], [2.0]])
    assert not np.isfinite(blend([[0.0], [0.0]], prediction))


@pytest.mark.parametrize("compiled", [None, False, True], ids=["eager", "graph", "xla"])
def test_per_example_weight_zero_protects_penalties(compiled):
    logits = [[0.0, -np.inf], [-np.inf, 0.0]]
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "welsch": bl.losses.Welsch()}, PerExample(logits))

    def value_and_gradient(prediction):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = blend(tf.zeros_like(prediction), prediction)
        return value, tape.gradient(value, prediction)

    run = value_and_gradient if compiled is None else tf.function(value_and_gradient, jit_compile=compiled)
    value, gradient = run(tf.constant([[2.0], [np.inf]]))
    assert float(value) == (2.0**2 + 0.5) / 2
    np.testing.assert_array_equal(gradient, [[2.0], [0.0]])


def test_per_example_gradients_have_the_shape_of_the_targets():
    blend = bl.Blend(
        {"nll": "sparse_categorical_crossentropy", "mean": lambda y, p: y - p[:, 0]}, PerExample([[0.0, 0.0]] * 3)
    )
    labels, probabilities = tf.constant([0.0, 1.0, 1.0]), tf.constant([[0.5, 0.5]] * 3)
    with tf.GradientTape() as tape:
        tape.watch(labels)
        value = blend(labels, probabilities)
    np.testing.assert_allclose(tape.gradient(value, labels), np.full(3, 0.5 / 3), rtol=1e-6)


# Values from elsewhere


def test_combine_blends_given_values():
    blend = bl.Blend(["pde", "boundary"], bl.gates.Fixed([1.0, 10.0]))
    assert float(blend.combine({"boundary": 2.0, "pde": tf.constant([1.0, 3.0])})) == 22.0


def test_combine_sends_gradients_to_the_values():
    blend = bl.Blend(["pde", "boundary"], bl.gates.Fixed([1.0, 10.0]))
    pde, boundary = tf.Variable(3.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        value = blend.combine({"pde": pde**2, "boundary": boundary**2})
    assert [round(float(g), 4) for g in tape.gradient(value, [pde, boundary])] == [6.0, 40.0]


@pytest.mark.parametrize("names", [["single", "double"], ["double", "single"]])
def test_combine_keeps_the_widest_dtype(names):
    blend = bl.Blend(names, bl.gates.Fixed([1.0, 1.0]))
    value = blend.combine({"single": tf.constant(1.0), "double": tf.constant(1e-12, tf.float64)})
    assert value.dtype == tf.float64
    assert float(value) > 1


def test_combine_and_call_each_refuse_the_others_blend():
    with pytest.raises(ValueError, match=r"`values` must have exactly the names \['pde'\]. Received: \['bc'\]"):
        bl.Blend(["pde"], bl.gates.Learned()).combine({"bc": 1.0}, step=0)
    with pytest.raises(ValueError, match="give their values to `combine`"):
        bl.Blend(["pde"], bl.gates.Learned())(Y_TRUE, Y_PRED, step=0)
    gate = bl.gates.ResidualState(bl.gates.statistics.Kurtosis(), [4.0], width=1.0)
    with pytest.raises(ValueError, match="needs residuals, which losses that are names alone have not"):
        bl.Blend(["a", "b"], gate)
    with pytest.raises(ValueError, match="needs residuals, which `combine` has not"):
        bl.Blend({"a": "mse", "b": "mae"}, gate).combine({"a": 1.0, "b": 2.0}, step=0)


# Weight 0


@keras.saving.register_keras_serializable(package="tests")
def infinite(y_true, y_pred):
    return tf.reduce_mean(tf.exp(1e4 * (1 + tf.abs(y_pred))), axis=-1)


@keras.saving.register_keras_serializable(package="tests")
def not_a_number(y_true, y_pred):
    return tf.reduce_mean(tf.math.log(-1 - tf.abs(y_pred)), axis=-1)


@keras.saving.register_keras_serializable(package="tests")
def infinite_slope(y_true, y_pred):
    return tf.reduce_mean(tf.exp(-1 / (y_pred - y_pred)), axis=-1)


MODES = {
    "soft": bl.modes.Soft(),
    "sparsemax": bl.modes.Soft(bl.modes.sparsemax),
    "entmax15": bl.modes.Soft(bl.modes.entmax15),
    "annealed": bl.modes.Annealed(0.5),
    "concrete": bl.modes.Annealed(0.5, seed=1),
    "hard": bl.modes.Hard(),
    "hard-all": bl.modes.Hard(lazy=False),
    "gumbel": bl.modes.Hard(bl.modes.GumbelStraightThrough(seed=1)),
    "reinmax": bl.modes.Hard(bl.modes.ReinMax(seed=1)),
}


@pytest.mark.parametrize("broken", [infinite, not_a_number, infinite_slope], ids=lambda f: f.__name__)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gate", [lambda: bl.gates.Scheduled(0.0), lambda: bl.gates.Learned([200.0, -200.0])])
def test_gated_off_loss_reaches_neither_value_nor_gradient(broken, mode, gate):
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "broken": broken}, gate(), MODES[mode])
    prediction = tf.Variable(Y_PRED)
    with tf.GradientTape() as tape:
        value = blend(Y_TRUE, prediction, step=3)
    gradients = tape.gradient(value, [prediction, *blend.trainable_variables])
    np.testing.assert_allclose(value, np.mean((Y_PRED - Y_TRUE) ** 2), rtol=1e-6)
    np.testing.assert_allclose(gradients[0], (Y_PRED - Y_TRUE) / 6, rtol=1e-5)
    for gradient in gradients[1:]:
        assert np.isfinite(gradient).all()


# Regimes


@pytest.mark.parametrize("mode", MODES)
def test_eager_graph_xla_and_unknown_batch_agree(mode):
    blend = bl.Blend(LOSSES, bl.gates.Learned([0.3, -0.2, 0.1]), MODES[mode])

    def step_of(y_true, y_pred, step):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = blend(y_true, y_pred, step=step)
        return [value, *tape.gradient(value, [y_pred, *blend.trainable_variables])]

    unknown = [tf.TensorSpec([None, 2]), tf.TensorSpec([None, 2]), tf.TensorSpec([], tf.int64)]
    functions = [
        step_of,
        tf.function(step_of),
        tf.function(step_of, jit_compile=True),
        tf.function(step_of, input_signature=unknown),
    ]
    arguments = [tf.constant(Y_TRUE), tf.constant(Y_PRED), tf.constant(7, tf.int64)]
    reference, *others = ([np.array(tensor) for tensor in function(*arguments)] for function in functions)
    for other in others:
        for expected, found in zip(reference, other, strict=True):
            np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_floating_dtype(dtype):
    value = fixed()(tf.cast(Y_TRUE, dtype), tf.cast(Y_PRED, dtype))
    assert value.dtype == ("float64" if dtype == "float64" else "float32")
    precision = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-6, "float64": 1e-6}[dtype]  # of the inputs
    np.testing.assert_allclose(value, fixed()(Y_TRUE, Y_PRED), rtol=precision)


def test_half_precision_does_not_overflow():
    value = bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))(
        tf.zeros([4, 1], tf.float16), tf.fill([4, 1], tf.constant(1000.0, tf.float16))
    )
    assert float(value) == 1e6


@pytest.mark.parametrize("regime", ["eager", "xla"])
def test_float32_mean_over_two_to_the_24_elements(regime):
    values = np.random.default_rng(0).normal(size=2**24).astype("float32")
    blend = bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))

    def value_of(y_pred):
        return blend(tf.zeros_like(y_pred), y_pred)

    value = (tf.function(value_of, jit_compile=True) if regime == "xla" else value_of)(tf.constant(values))
    reference = np.mean(values.astype("float64") ** 2)
    assert abs(float(value) - reference) / reference <= 1e-6


GATES = {
    "fixed": lambda: bl.gates.Fixed(WEIGHTS),
    "scheduled": lambda: bl.gates.Scheduled(bl.schedules.linear(0.0, 2.0, steps=1000)),
    "scheduled-weights": lambda: bl.gates.Scheduled(bl.schedules.cosine([1, 0, 0], [0, 1, 1], steps=1000)),
    "learned": lambda: bl.gates.Learned(),
    "learned-initial": lambda: bl.gates.Learned(normalize="initial"),
    "learned-running": lambda: bl.gates.Learned(
        normalize="running", regularizers=[bl.gates.regularizers.Entropy(bl.schedules.linear(1.0, 0.0, steps=1000))]
    ),
    "bayesian": lambda: bl.gates.Bayesian(bl.gates.families.LogisticNormal(), examples=6, seed=0),
    "uncertainty": lambda: bl.gates.Uncertainty(["regression", "geometric", "auxiliary"]),
    "plateau": lambda: bl.gates.Plateau("loss", patience=300),
    "threshold": lambda: bl.gates.Threshold("loss", [0.6, 0.3]),
    "residual-state": lambda: bl.gates.ResidualState(
        bl.gates.statistics.QuantileAbsolute(0.9), [1.0, 2.0], width=1.0, memory=10
    ),
    "imtl-l": lambda: bl.gates.IMTLL(),
    "random": lambda: bl.gates.Random(seed=0),
}
OF_VALUES = {
    "geometric-mean": lambda: bl.gates.GeometricMean(),
    "tchebycheff": lambda: bl.gates.Tchebycheff([1.0, 1.5, 1.5]),
    "smooth-tchebycheff": lambda: bl.gates.SmoothTchebycheff(0.5, averaging=2),
    "pbi": lambda: bl.gates.PBI([1.0, 2.0, 3.0]),
    "famo": lambda: bl.gates.FAMO(same_batch=False),
    "exp3-s": lambda: bl.gates.Exp3S(seed=0, rate=0.1, same_batch=False),
    "softadapt": lambda: bl.gates.SoftAdapt(),
    "relobralo": lambda: bl.gates.ReLoBRaLo(seed=0),
    "dwa": lambda: bl.gates.DWA(10),
    "normalized": lambda: bl.gates.Normalized(),
}
FROM_GRADIENTS = {
    "grad-norm": lambda: bl.gates.GradNorm(),
    "lr-annealing": lambda: bl.gates.LRAnnealing(every=3),
    "ntk": lambda: bl.gates.NTK(probes=2, seed=0, every=2),
    "grad-drop": lambda: bl.gates.GradDrop(0.5, seed=0),
    "mgda": lambda: bl.gates.MGDA("l2"),
    "cagrad": lambda: bl.gates.CAGrad(0.5, rescale=1),
    "nash-mtl": lambda: bl.gates.NashMTL(),
    "fair-grad": lambda: bl.gates.FairGrad(2.0, max_norm=1.0),
    "imtl-g": lambda: bl.gates.IMTLG(),
    "aligned-mtl": lambda: bl.gates.AlignedMTL("median"),
    "config": lambda: bl.gates.ConFIG("min"),
    "pcgrad": lambda: bl.gates.PCGrad(seed=0),
    "grad-vac": lambda: bl.gates.GradVac(0.1, seed=0),
    "upgrad": lambda: bl.gates.UPGrad(),
}


@pytest.mark.parametrize(
    ("gate", "mode"),
    [
        *((gate, "concrete") for gate in {**GATES, **OF_VALUES, **FROM_GRADIENTS}),
        ("learned", "reinmax"),
        ("scheduled", "hard"),
    ],
)
def test_one_trace_over_a_thousand_changes(gate, mode):
    """Steps, weights, temperatures and stages change; the function is traced once."""
    annealed = bl.modes.Annealed(bl.schedules.exponential(5.0, 0.1, steps=1000), seed=1)
    made = {**GATES, **OF_VALUES, **FROM_GRADIENTS}[gate]()
    blend = bl.Blend(LOSSES, made, annealed if mode == "concrete" else MODES[mode])
    prediction = tf.Variable(Y_PRED)

    @tf.function
    def step_of(y_true, step):
        variables = [prediction, *blend.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            values = blend.values(y_true, prediction)
            residuals = blend.residuals(y_true, prediction)
            if not blend.gate.needs_gradients:
                reading = blend.read(y_true, prediction, step=step)
        if blend.gate.needs_gradients:
            gradients, reading = blend.gradients(tape, values, variables, step=step, residuals=residuals)
        else:
            gradients = tape.gradient(reading.value, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(0.01 * gradient)
        if isinstance(blend.gate, bl.gates.MetricGate):
            falling = 1 - tf.cast(step, tf.float32) / 1000
            blend.gate.observe(falling if gate == "threshold" else 1.0)
        return reading.weights

    seen = {tuple(step_of(tf.constant(Y_TRUE), tf.constant(step)).numpy().tolist()) for step in range(1000)}
    assert step_of.experimental_get_tracing_count() == 1
    assert len(seen) > (1 if mode == "hard" or gate in ("plateau", "threshold", "tchebycheff") else 2)


# Lazy


@pytest.mark.parametrize("gate", GATES)
def test_lazy_hard_under_xla_with_a_batch_known_at_run_time_only(gate):
    blend = bl.Blend({"mse": bl.losses.SquaredError(), "huber": "huber", "mae": "mae"}, GATES[gate](), bl.modes.Hard())

    @tf.function(input_signature=[tf.TensorSpec([None, 2])] * 2, jit_compile=True)
    def gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = blend(y_true, y_pred, step=1)
        return tape.gradient(value, y_pred)

    prediction = tf.constant(np.tile(Y_PRED, (4, 1)))
    target = tf.constant(np.tile(Y_TRUE, (4, 1)))
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = blend(target, prediction, step=1, training=gate != "residual-state")
    compiled_first = gradient(target, prediction)
    if gate != "residual-state":  # whose state the first call has changed
        np.testing.assert_allclose(compiled_first, tape.gradient(value, prediction), rtol=1e-5, atol=1e-7)
    assert np.isfinite(compiled_first).all()


def test_lazy_losses_may_differ_in_dtype():
    def double(y_true, y_pred):
        return tf.cast(tf.reduce_mean(tf.abs(y_true - y_pred), axis=-1), tf.float64)

    blend = bl.Blend({"a": "mse", "b": double}, bl.gates.Scheduled(bl.schedules.switch_at(3)), bl.modes.Hard())
    assert float(tf.function(lambda step: blend([[0.0]], [[3.0]], step=step))(tf.constant(5))) == 3.0


def test_lazy_hard_evaluates_the_chosen_loss_alone():
    evaluated = []

    def spy(name):
        def loss(y_true, y_pred):
            tf.py_function(lambda: evaluated.append(name), [], [])
            return tf.reduce_mean(tf.square(y_true - y_pred), axis=-1)

        return loss

    blend = bl.Blend({"a": spy("a"), "b": spy("b")}, bl.gates.Scheduled(bl.schedules.switch_at(1)), bl.modes.Hard())
    read = tf.function(lambda step: blend.read(Y_TRUE, Y_PRED, step=step))
    first, second = read(tf.constant(0)), read(tf.constant(1))
    assert evaluated == ["a", "b"]
    assert np.isnan(first.losses).tolist() == [False, True]
    assert np.isnan(second.losses).tolist() == [True, False]


def test_lazy_and_eager_hard_agree():
    gate = bl.gates.Fixed([1.0, 3.0, 2.0])
    lazy, full = (bl.Blend(LOSSES, gate, bl.modes.Hard(lazy=lazy)) for lazy in (True, False))
    prediction = tf.constant(Y_PRED)
    results = []
    for blend in (lazy, full):
        with tf.GradientTape() as tape:
            tape.watch(prediction)
            value = blend(Y_TRUE, prediction)
        results.append((value, tape.gradient(value, prediction)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


# As a loss for plain `compile`


def compiled(loss, optimizer="sgd"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile(optimizer, loss=loss)
    return model


def test_blend_in_plain_compile_trains_as_the_keras_losses_do():
    sample_weight = np.arange(6, dtype="float32")
    ours, theirs = (
        compiled(loss).fit(Y_TRUE, Y_PRED, sample_weight=sample_weight, epochs=3, verbose=0, shuffle=False)
        for loss in (
            bl.Blend({"mse": bl.losses.SquaredError(), "mae": "mae"}, bl.gates.Fixed([1.0, 0.0])),
            keras.losses.MeanSquaredError(),
        )
    )
    np.testing.assert_allclose(ours.history["loss"], theirs.history["loss"], rtol=1e-6)


def test_scheduled_blend_follows_the_optimizer_in_plain_compile():
    optimizer = keras.optimizers.SGD()
    blend = bl.Blend({"zero": lambda y, p: 0 * p[:, 0], "mse": "mse"}, bl.gates.Scheduled(bl.schedules.switch_at(2)))
    history = compiled(blend.at(optimizer.iterations), optimizer).fit(Y_TRUE, Y_PRED, batch_size=6, epochs=4, verbose=0)
    assert [loss > 0 for loss in history.history["loss"]] == [False, False, True, True]


NEEDS_STEP = {
    "trains": bl.gates.Learned,
    "keeps a running state": lambda: bl.gates.ResidualState(bl.gates.statistics.MeanAbsolute(), [1.0, 2.0], width=1.0),
    "follows the step": lambda: bl.gates.Scheduled(0.0),
    "watches a metric that nothing shows it": lambda: bl.gates.Plateau("val_mae"),
}


@pytest.mark.parametrize("reason", NEEDS_STEP)
def test_plain_compile_refuses_what_would_silently_stay_as_it_is(reason):
    blend = bl.Blend(LOSSES, NEEDS_STEP[reason]())
    with pytest.raises(ValueError, match=f"{reason}.*use `BlendedModel"):
        compiled(blend).fit(Y_TRUE, Y_PRED, verbose=0)


def test_gate_that_is_shown_its_metric_switches_in_plain_compile():
    gate = bl.gates.Threshold("loss", [1e9])
    model = compiled(bl.Blend({"mse": "mse", "zero": lambda y, p: 0 * p[:, 0]}, gate))
    history = model.fit(Y_TRUE, Y_PRED, epochs=2, verbose=0, callbacks=[bl.keras.MetricMonitor(gate)]).history
    assert [loss > 0 for loss in history["loss"]] == [True, False]


def test_at_refuses_a_trainable_gate():
    with pytest.raises(ValueError, match=r"no optimizer sees the blend. Use `BlendedModel"):
        bl.Blend(LOSSES, bl.gates.Learned()).at(0)


def test_mode_of_the_step_needs_it_too():
    blend = fixed(mode=bl.modes.Annealed(bl.schedules.linear(1.0, 0.1, steps=3)))
    with pytest.raises(ValueError, match="the mode Annealed follows the step"):
        blend(Y_TRUE, Y_PRED)


# Mistakes


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ({}, ValueError, "`losses` must not be empty"),
        ([], ValueError, "`losses` must not be empty"),
        (["a", "a"], ValueError, "`losses` must have different names"),
        ({"": "mse"}, ValueError, "`losses` must not have an empty name"),
        ({1: "mse"}, TypeError, "`losses` must have strings as names. Received: 1"),
        ({"a": None}, TypeError, "`losses` must not contain None"),
        ({"a": 3}, TypeError, "a"),
        ({"a": fixed()}, TypeError, "`losses` must not contain a blend"),
        ({"a": "no such loss"}, ValueError, "no such loss"),
        ("mse", TypeError, "`losses` must be a dict of losses or a list of names"),
    ],
)
def test_wrong_losses(losses, error, message):
    with pytest.raises(error, match=message):
        bl.Blend(losses, bl.gates.Learned())


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"gate": "soft"}, TypeError, "`gate` must be a Gate"),
        ({"gate": bl.gates.Learned}, TypeError, "`gate` must be a Gate"),
        ({"mode": "soft"}, TypeError, "`mode` must be a Mode"),
        ({"mode": bl.modes.Soft}, TypeError, "`mode` must be a Mode"),
        ({"reduction": "average"}, ValueError, "`reduction` must be one of"),
        ({"gate": bl.gates.Fixed([1.0])}, ValueError, "`weights` must have one weight for each of the 3 losses"),
    ],
)
def test_wrong_arguments(named, error, message):
    with pytest.raises(error, match=message):
        bl.Blend(**{"losses": LOSSES, "gate": bl.gates.Fixed(WEIGHTS), **named})


def test_gate_of_the_wrong_width_raises():
    with pytest.raises(ValueError, match=r"must give logits of shape \[K\] or \[batch, K\] with K = 3"):
        bl.Blend(LOSSES, PerExample([0.0, 0.0]))(Y_TRUE, Y_PRED)


@pytest.mark.parametrize("wrong", [1j, True, "a"], ids=repr)
def test_predictions_that_are_no_real_numbers_are_refused(wrong):
    with pytest.raises(TypeError, match="must be real numbers"):
        fixed()([[0.0]], tf.constant([[wrong]]))


def test_integer_targets_are_cast_as_in_keras():
    blend = bl.Blend({"own": lambda y, p: tf.reduce_mean(tf.square(y - p), axis=-1)}, bl.gates.Fixed([1.0]))
    assert float(blend(np.array([[1], [3]]), np.array([[2.0], [5.0]], "float32"))) == 2.5


def test_shapes_are_not_broadcast():
    with pytest.raises(ValueError, match="`y_true` and `y_pred` must have the same shape"):
        bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))(Y_TRUE[:, :1], Y_PRED)


def test_lengths_that_only_the_running_graph_knows_are_not_broadcast_either():
    blend = bl.Blend({"mse": bl.losses.SquaredError()}, bl.gates.Fixed([1.0]))
    traced = tf.function(blend, input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None, None])])
    assert float(traced(tf.zeros([3, 2]), tf.ones([3, 2]))) == 1.0
    with pytest.raises(tf.errors.InvalidArgumentError):
        traced(tf.zeros([3, 1]), tf.ones([3, 2]))


@pytest.mark.parametrize("y_pred", [{"a": [1.0]}, [tf.ones([2]), tf.ones([2])]], ids=["dict", "list"])
def test_several_outputs_are_refused(y_pred):
    with pytest.raises(TypeError, match="`y_pred` must be one tensor"):
        fixed()(Y_TRUE, y_pred)


# Saving


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gate", {**GATES, **OF_VALUES, **FROM_GRADIENTS})
def test_config_round_trip(gate, mode):
    blend = bl.Blend(LOSSES, {**GATES, **OF_VALUES, **FROM_GRADIENTS}[gate](), MODES[mode], reduction="sum")
    training = not blend.gate.needs_gradients
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert copy.get_config() == blend.get_config()
    values = [one(Y_TRUE, Y_PRED, step=3, training=training) for one in (copy, blend)]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.Huber(delta=2.0),
        keras.losses.CosineSimilarity(axis=0),
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    ],
    ids=lambda loss: loss.name,
)
def test_keras_losses_keep_their_arguments(loss):
    """Keras itself forgets the first two."""
    blend = bl.Blend({"loss": loss}, bl.gates.Fixed([1.0]))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert float(copy(Y_TRUE, Y_PRED)) == float(blend(Y_TRUE, Y_PRED))


@pytest.mark.parametrize("frozen", ["gate", "blend"])
def test_frozen_stays_frozen(frozen):
    blend = bl.Blend(LOSSES, bl.gates.Learned())
    (blend.gate if frozen == "gate" else blend).trainable = False
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(blend))
    assert not copy.trainable_variables
    assert copy.trainable == blend.trainable


def test_names_alone_round_trip():
    copy = bl.Blend.from_config(bl.Blend(["pde", "bc"], bl.gates.Fixed([1.0, 2.0])).get_config())
    assert float(copy.combine({"pde": 1.0, "bc": 1.0})) == 3.0


def test_function_that_a_saved_model_could_not_find_raises():
    with pytest.raises(ValueError, match="register_keras_serializable"):
        bl.Blend({"mine": lambda y, p: p[:, 0]}, bl.gates.Fixed([1.0])).get_config()


def test_checkpoint_restores_the_gate(tmp_path):
    blend, copy = (bl.Blend(LOSSES, bl.gates.Learned()) for _ in range(2))
    blend.gate.logits.assign([1.0, 2.0, 3.0])
    path = tf.train.Checkpoint(blend=blend).save(str(tmp_path / "blend"))
    tf.train.Checkpoint(blend=copy).restore(path).assert_consumed()
    np.testing.assert_array_equal(copy.gate.logits, [1.0, 2.0, 3.0])
